"""The shape of a probe: what was found and how long it took, failures as results."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from equipoise.backends.base import BackendError, ProbeResult


async def probed(look: Callable[[], Awaitable[dict[str, Any]]]) -> ProbeResult:
    """Time one look at an upstream; a BackendError it raises makes the upstream unhealthy."""
    began = time.monotonic()
    try:
        details = await look()
    except BackendError as error:
        return ProbeResult(healthy=False, seconds=time.monotonic() - began, error=str(error))
    return ProbeResult(healthy=True, seconds=time.monotonic() - began, details=details)
