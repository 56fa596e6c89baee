"""Metrics pushed to Prometheus' push gateway, for processes that nobody can scrape."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from equipoise.http import HTTPError, Pool, PoolLimits, Timeouts

logger = logging.getLogger("equipoise.metrics")
CONTENT = (b"content-type", b"text/plain; version=0.0.4")
SECONDS = 10.0


def instance_name() -> str:
    """This process among its siblings: host and process id."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Pusher:
    """Runs beside the questions: pushes again and again, and a last time at the end. Trouble is logged once a spell."""

    def __init__(
        self, url: str, text: Callable[[], bytes], *, job: str, interval: float, instance: str | None = None
    ) -> None:
        parts = urlsplit(url)
        self._pool = Pool(f"{parts.scheme}://{parts.netloc}", limits=PoolLimits(connections=1))
        grouping = f"/metrics/job/{quote(job, safe='')}/instance/{quote(instance or instance_name(), safe='')}"
        self._path, self._text, self._interval = parts.path.rstrip("/") + grouping, text, interval
        self._task: asyncio.Task[None] | None = None
        self.pushed, self.error = 0, ""

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="push metrics")

    async def close(self) -> None:
        """Push what was counted last, and stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._push()
        await self._pool.close()

    async def _run(self) -> None:
        while True:
            await self._push()
            await asyncio.sleep(self._interval)

    async def _push(self) -> None:
        try:
            response = await self._pool.request(
                "PUT", self._path, headers=[CONTENT], body=self._text(), timeouts=Timeouts(total=SECONDS)
            )
            await response.read(65_536)
            error = "" if response.status < 300 else f"the push gateway answered {response.status}"
        except HTTPError as failure:
            error = str(failure)
        if error and not self.error:
            logger.warning("metrics were not pushed", extra={"why": error})
        self.error = error
        self.pushed += not error
