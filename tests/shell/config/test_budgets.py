"""What may be said of budgets, and what becomes of it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from equipoise.build.budgets import budgets_of, calendar
from equipoise.config.load import load
from equipoise.core.account import Unit
from tests.shell.config.conftest import Write, good, told

FILE = """\
backend_instances:
  a:
    backend_type: local_llm
    endpoint_url: http://127.0.0.1:1/v1
keys:
  one: {key: one-one-one, tenant: bio}
budgets:
"""


def test_a_number_alone_is_dollars_a_day(write: Write) -> None:
    """The shortest budget."""
    of = good(FILE + "  all: 12.5\n", write).config.budgets["all"]
    assert (of.usd, of.window, of.rolling) == (12.5, "day", False)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{window: day}", "exactly one of usd, requests and tokens"),
        ("{usd: 1, tokens: 5}", "exactly one of usd, requests and tokens"),
        ("{usd: 1, window: total, rolling: true}", "a total has no window"),
        ("{requests: 5, paced: true}", "only in usd"),
        ("{usd: 1, hold_back: 0.2}", "hold_back and priority_tenants together"),
        ("{usd: 1, time_zone: Mars/Olympus}", "is not a time zone"),
        ("{usd: -1}", "must be between"),
        ("{usd: 1, windw: day}", "is not a known field"),
    ],
)
def test_what_makes_no_sense_is_refused(write: Write, said: str, message: str) -> None:
    """With a sentence, where it stands."""
    assert message in told(FILE + f"  all: {said}\n", write)


def test_accounts_of_those_who_are_known_are_open_from_the_start() -> None:
    """Nobody's first question waits for a slice; a share held back is a budget of the others."""
    config = load(
        {
            "backend_instances": {"a": {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:1/v1"}},
            "keys": {"one": {"key": "one-one-one", "tenant": "bio"}},
            "budgets": {
                "all": {"usd": 10, "hold_back": 0.25, "priority_tenants": "bio", "paced": True},
                "each": {"requests": 5, "tenant": "*"},
                "calls": {"tokens": 7, "key": "*", "window": "hour", "rolling": True},
            },
        }
    ).config
    found = budgets_of(config)
    assert set(found.accounts) == {
        "all", "all:ordinary", "each[tenant=bio]", "each[tenant=default]", "calls[key=one]",
    }  # fmt: skip
    assert found.options["all:ordinary"].limit == 7_500_000_000
    assert found.options["calls"].unit is Unit.TOKENS
    assert list(found.pacers) == ["all"]
    assert budgets_of(config.model_copy(update={"enable_cost_optimization": False})).pacers == {}


@pytest.mark.parametrize(
    ("unit", "day", "hours"),
    [
        ("day", "2026-03-29", 23),
        ("day", "2026-10-25", 25),
        ("month", "2026-02-14", 28 * 24),
        ("month", "2026-12-31", 31 * 24),
    ],
)
def test_days_and_months_are_those_of_the_place(unit: str, day: str, hours: int) -> None:
    """A day on which clocks are put forward has 23 hours."""
    zone = ZoneInfo("Europe/Berlin")
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=zone).timestamp()
    began, ends = calendar(unit, "Europe/Berlin")(noon)
    assert ends - began == hours * 3600
    assert began <= noon < ends
    assert datetime.fromtimestamp(began, zone).hour == 0
