"""What an operator may say of budgets: how much of what, in which time, for whom."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from equipoise.config.fields import Count, NotNegative, Section, Share, Split, Text, Texts

UNITS = ("usd", "requests", "tokens")
SCOPES = ("backend", "tenant", "key", "tag")
MOST_USD = 1_000_000_000


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone; for example UTC or Europe/Berlin") from None
    return name


Zone = Annotated[str, AfterValidator(_known_zone)]


class BudgetConfig(Section):
    """One budget: exactly one of usd, requests and tokens; all of backend, tenant, key and tag that are given must match."""

    usd: Annotated[NotNegative, Field(le=MOST_USD)] | None = None
    """Dollars that may be spent."""
    requests: Count | None = None
    """Attempts that may reach a backend."""
    tokens: Count | None = None
    """Tokens, input and output together."""
    window: Literal["hour", "day", "month", "total"] = "day"
    """After which it begins anew; total never does."""
    rolling: bool = False
    """Whether it holds for any hour, day or 30 days instead of those of the calendar."""
    time_zone: Zone = "UTC"
    """Whose midnights the days and months of the calendar begin at."""
    backend: Text | None = None
    """Only what this backend answers; * gives each backend a budget of its own."""
    tenant: Text | None = None
    """Only this tenant; * gives each tenant its own."""
    key: Text | None = None
    """Only this key, by its name; * gives each key its own."""
    named: bool = False
    """Only requests with a key that names it under its `budgets`."""
    tag: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Only requests with this tag (x-equipoise-tags)."""
    alerts: Annotated[tuple[Share, ...], Split] = (0.7, 0.9)
    """Shares of it at which an alert is given, once each in a window."""
    paced: bool = False
    """Whether spending is spread over the window: strategies that weigh quality turn to cheaper backends in time."""
    hold_back: Annotated[Share, Field(lt=1)] = 0.0
    """Share of it that only `priority_tenants` may use."""
    priority_tenants: Texts = ()
    """Tenants for whom a share is held back."""

    @model_validator(mode="after")
    def _makes_sense(self) -> BudgetConfig:
        if sum(getattr(self, unit) is not None for unit in UNITS) != 1:
            raise ValueError("needs exactly one of usd, requests and tokens")
        if self.rolling and self.window == "total":
            raise ValueError("cannot be rolling and total: a total has no window")
        if self.paced and (self.usd is None or self.rolling or self.window == "total" or self.scoped):
            raise ValueError("can be paced only in usd, for everybody, in a window of the calendar")
        if bool(self.hold_back) != bool(self.priority_tenants):
            raise ValueError("needs hold_back and priority_tenants together")
        return self

    @property
    def scoped(self) -> bool:
        """Is it for some only?"""
        return any(getattr(self, scope) is not None for scope in SCOPES)


def _plain_amount(data: object) -> object:
    """A number alone is dollars a day."""
    plain = isinstance(data, int | float | str) and not isinstance(data, bool)
    return {"usd": data} if plain else data


Budget = Annotated[BudgetConfig, BeforeValidator(_plain_amount, json_schema_input_type=BudgetConfig | float | str)]
