"""Alerts over the admin listener.

GET  /admin/alerts        what is wrong now, who is told, what was told lately
POST /admin/alerts/ack    {"id": "...", "who": "..."}: no more reminders
POST /admin/alerts/test   {"receiver": null}: a test notice to one receiver or to all
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from equipoise.gateway.configuring import read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request

Operation: TypeAlias = Callable[[Request], Awaitable[dict[str, Any]]]
ALERTS, ACK, TEST = "/admin/alerts", "/admin/alerts/ack", "/admin/alerts/test"
LONGEST = 200


class AckBody(msgspec.Struct, forbid_unknown_fields=True):
    """Which alert, and who looks after it."""

    id: str
    who: str = "somebody"


class TryBody(msgspec.Struct, forbid_unknown_fields=True):
    """To whom; all when absent."""

    receiver: str | None = None


class Desk(Protocol):
    """Whoever watches; see telemetry.alerts."""

    async def status(self) -> dict[str, Any]: ...

    async def acknowledge(self, alert_id: str, who: str) -> object | None: ...

    async def test(self, receiver: str | None) -> list[str]: ...


def operations(desk: Desk | None) -> Mapping[tuple[str, str], Operation]:
    """Method and path to what is done there."""

    def present() -> Desk:
        if desk is None:
            raise Problem(404, "no_alerts", "Nothing is watched: alerts.enabled is off.", should_retry=False)
        return desk

    async def status(request: Request) -> dict[str, Any]:
        return await present().status()

    async def acknowledge(request: Request) -> dict[str, Any]:
        body = read_body(request.body, AckBody)
        alert = await present().acknowledge(body.id, body.who[:LONGEST])
        if alert is None:
            raise Problem(404, "alert_not_found", "No such alert is active.", param="id", should_retry=False)
        return {"acknowledged": msgspec.to_builtins(alert)}

    async def test(request: Request) -> dict[str, Any]:
        wanted = read_body(request.body, TryBody).receiver
        try:
            return {"sent_to": await present().test(wanted)}
        except KeyError:
            raise Problem(404, "receiver_not_found", "There is no receiver of this name.", param="receiver") from None

    return {("GET", ALERTS): status, ("POST", ACK): acknowledge, ("POST", TEST): test}
