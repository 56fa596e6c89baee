"""The shape of a probe: what was found and how long it took, failures as results."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from equipoise.backends.base import BackendClient, BackendError, ProbeResult


async def probed(look: Callable[[], Awaitable[dict[str, Any]]]) -> ProbeResult:
    """Time one look at an upstream; a BackendError it raises makes the upstream unhealthy."""
    began = time.monotonic()
    try:
        details = await look()
    except BackendError as error:
        return ProbeResult(healthy=False, seconds=time.monotonic() - began, error=str(error))
    return ProbeResult(healthy=True, seconds=time.monotonic() - began, details=details)


class RecentProbe:
    """The probe of a client, asked again only when the last one is older than `seconds`; `client` gives the present one."""

    def __init__(self, client: Callable[[], BackendClient], seconds: float = 30.0) -> None:
        self._client, self._seconds = client, seconds
        self._result: ProbeResult | None = None
        self._at = 0.0

    async def look(self) -> ProbeResult:
        """The last result, or a fresh one."""
        now = time.monotonic()
        if self._result is None or now - self._at >= self._seconds:
            self._result, self._at = await self._client().probe(), now
        return self._result
