"""Breakers by hand, over the admin listener.

    POST /admin/backends/{id}/open-breaker    {"seconds": 300}: ask it nothing for so long; until it is closed when absent
    POST /admin/backends/{id}/close-breaker   {}: trust it again, with a clean record

403 (`read_only`) where nothing is to be changed here, 404 for a backend there is not. A canary's candidate has breakers of
its own, which this leaves alone: a drain is for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from equipoise.core.events import BackendChanged
from equipoise.gateway.configuring import READ_ONLY, read_body
from equipoise.gateway.problems import Problem
from equipoise.http import Request

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

OPEN, CLOSE = "open-breaker", "close-breaker"
BY_HAND = "by hand"


class OpenBody(msgspec.Struct, forbid_unknown_fields=True):
    """For how many seconds; until it is closed when absent."""

    seconds: float | None = None


class Breakers:
    """Opens and closes them. `read_only` says whether nothing is to be changed here."""

    def __init__(self, balancer: LoadBalancer, read_only: Callable[[], bool]) -> None:
        self._balancer, self._read_only = balancer, read_only

    def command(self, backend_id: str, verb: str, request: Request) -> None:
        """Do it at once, and tell whoever watches breakers. Raises KeyError for a backend there is not, Problem."""
        if self._read_only():
            raise Problem(
                403, READ_ONLY, "This configuration is read-only: nothing is changed here.", should_retry=False
            )
        seconds = _seconds(read_body(request.body, OpenBody)) if verb == OPEN else None
        selection = self._balancer.selection
        breaker, now = selection.backends[backend_id].breaker, selection.clock.monotonic()
        if verb == OPEN:
            breaker.open(now, f"opened {BY_HAND}", seconds)
        else:
            breaker.close(now, f"closed {BY_HAND}")
        wall = selection.clock.wall()
        self._balancer.tell(BackendChanged(backend_id, breaker.state.value, breaker.reason, wall))


def _seconds(body: OpenBody) -> float | None:
    if body.seconds is not None and not 0.0 < body.seconds < math.inf:
        raise Problem(400, "invalid_request_error", "seconds is a number above 0.", param="seconds", should_retry=False)
    return body.seconds
