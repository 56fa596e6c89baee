"""Budgets over the admin listener.

    GET  /admin/budgets        every account: what is spent, promised, held and lost, of how much, until when
    POST /admin/budgets/set    {"name": "daily", "amount": "60"}: another limit, until the configured one changes; null: that
    POST /admin/budgets/reset  {"name": "daily"}: forget what was spent; with "unknown" only what the dead held

Amounts are in the budget's own unit: dollars, requests or tokens. 404 (`budget_not_found`) for a name there is not, 503
(`store_unavailable`) when their store cannot be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from equipoise.core.account import BudgetOptions, Unit
from equipoise.core.model import dollars
from equipoise.core.pricing import nano_dollars
from equipoise.gateway.configuring import READ_ONLY, read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request
from equipoise.stores import StoreError
from equipoise.stores.leases import LeaseStore

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

LIST, SET, RESET = "/admin/budgets", "/admin/budgets/set", "/admin/budgets/reset"
MONEY = ("limit", "configured_limit", "spent", "reserved", "held", "unknown")


class SetBody(msgspec.Struct, forbid_unknown_fields=True):
    """A budget's new limit, in its unit; null takes the configured one again."""

    name: str
    amount: str | int | float | None = None
    dry_run: bool = False


class ResetBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which budget begins anew; `unknown`: only what gateways that died held is given back."""

    name: str
    unknown: bool = False
    dry_run: bool = False


class Holder(Protocol):
    """Who takes the turns at the store."""

    async def store(self) -> LeaseStore: ...

    async def turn(self) -> None: ...


def operations(
    balancer: LoadBalancer, holder: Holder, read_only: Callable[[], bool]
) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    def wall() -> float:
        return balancer.selection.clock.wall()

    async def listed(request: Request) -> dict[str, Any]:
        await holder.turn()
        rows = [shown(row) for row in balancer.selection.budgets.status(wall())]
        return {"budgets": rows, "cost_efficiency": balancer.efficiency.status(wall())}

    async def change(request: Request) -> dict[str, Any]:
        body = read_body(request.body, SetBody)
        of = _named(balancer, body.name, read_only)
        amount = None if body.amount is None else _amount(of, body.amount)
        if not body.dry_run:
            await _at(holder, lambda store: store.set_limit(of.name, amount, of.limit, wall()))
        return {
            "done": "set",
            "dry_run": body.dry_run,
            "name": of.name,
            "limit": _shown(of, of.limit if amount is None else amount),
        }

    async def reset(request: Request) -> dict[str, Any]:
        body = read_body(request.body, ResetBody)
        of = _named(balancer, body.name, read_only)
        rows = [row for row in balancer.selection.budgets.status(wall()) if row["name"] == of.name]
        forgotten = sum(row["unknown"] + (0 if body.unknown else row["spent"]) for row in rows)
        if not body.dry_run:
            forgotten = await _at(holder, lambda store: store.reset(of.name, wall(), lost_only=body.unknown))
        return {"done": "reset", "dry_run": body.dry_run, "name": of.name, "forgotten": _shown(of, forgotten)}

    return {("GET", LIST): listed, ("POST", SET): change, ("POST", RESET): reset}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with dollars as exact decimals; counts stay numbers."""
    return {name: dollars(value) if name in MONEY and row["unit"] == "usd" else value for name, value in row.items()}


def _shown(of: BudgetOptions, amount: int) -> str | int:
    return dollars(amount) if of.unit is Unit.USD else amount


def _amount(of: BudgetOptions, said: str | float) -> int:
    try:
        return nano_dollars(said) if of.unit is Unit.USD else _count(said)
    except ValueError as error:
        raise Problem(400, "invalid_request_error", f"{error}.", param="amount", should_retry=False) from error


def _count(said: str | float) -> int:
    count = int(said)
    if count < 0 or str(count) != str(said):
        raise ValueError(f"not a whole number: {said!r}")
    return count


def _named(balancer: LoadBalancer, name: str, read_only: Callable[[], bool]) -> BudgetOptions:
    if read_only():
        raise Problem(403, READ_ONLY, "The configuration is read only: change the file.", should_retry=False)
    of = balancer.selection.budgets.options.get(name)
    if of is None:
        known = ", ".join(balancer.selection.budgets.options) or "none is configured"
        raise Problem(
            404, "budget_not_found", f"There is no budget of this name ({known}).", param="name", should_retry=False
        )
    return of


async def _at(holder: Holder, action: Callable[[LeaseStore], Any]) -> Any:
    """Do it beside the loop, and let this gateway know at once."""
    try:
        result = await asyncio.to_thread(action, await holder.store())
    except StoreError as error:
        raise Problem(503, "store_unavailable", f"{error}.") from error
    await holder.turn()
    return result
