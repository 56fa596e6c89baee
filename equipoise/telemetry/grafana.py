"""The dashboards that come with this package, and how they get into a Grafana."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from equipoise.http import HTTPError, Pool, PoolLimits, Timeouts

logger = logging.getLogger("equipoise.grafana")
PACKAGED = Path(__file__).parents[1] / "dashboards"
CHECKOUT = Path(__file__).parents[2] / "deploy" / "grafana" / "dashboards"
SECONDS, TRIES, PAUSE = 15.0, 8, 2.0


def dashboards() -> dict[str, dict[str, Any]]:
    """File name -> dashboard, as the package (or the checkout it runs from) holds them."""
    folder = PACKAGED if PACKAGED.is_dir() else CHECKOUT
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}


class Refused(Exception):
    """Grafana did not take a dashboard; `passing` says that it may take it later."""

    def __init__(self, why: str, *, passing: bool) -> None:
        super().__init__(why)
        self.passing = passing


class Grafana:
    """One Grafana, by its address and a token that may write dashboards."""

    def __init__(self, url: str, key: str | None = None, folder: str | None = None) -> None:
        parts = urlsplit(url)
        self._pool = Pool(f"{parts.scheme}://{parts.netloc}", limits=PoolLimits(connections=1))
        self._path, self._key, self._folder = parts.path.rstrip("/") + "/api/dashboards/db", key, folder

    async def put(self, dashboard: dict[str, Any]) -> str:
        """Create the dashboard or replace it; gives its path. Raises Refused."""
        body: dict[str, Any] = {"dashboard": {**dashboard, "id": None}, "overwrite": True, "message": "equipoise"}
        body |= {"folderUid": self._folder} if self._folder else {}
        headers = [(b"content-type", b"application/json")]
        headers += [(b"authorization", f"Bearer {self._key}".encode())] if self._key else []
        try:
            response = await self._pool.request(
                "POST", self._path, headers=headers, body=json.dumps(body).encode(), timeouts=Timeouts(total=SECONDS)
            )
            answer = await response.read(1_000_000)
        except HTTPError as error:
            raise Refused(str(error), passing=True) from error
        if response.status != 200:
            raise Refused(f"Grafana answered {response.status}", passing=response.status >= 500)
        return _path_of(answer)

    async def close(self) -> None:
        """Close its connections."""
        await self._pool.close()


def _path_of(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["url"])
    except (ValueError, KeyError, TypeError):
        return ""


class Provisioning:
    """Runs beside the questions: puts every dashboard into a Grafana once, which may come up later than the gateway."""

    def __init__(self, grafana: Grafana, *, tries: int = TRIES, pause: float = PAUSE) -> None:
        self._grafana, self._tries, self._pause = grafana, tries, pause
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="dashboards")

    async def close(self) -> None:
        """Stop, done or not."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._grafana.close()

    async def _run(self) -> None:
        for name, dashboard in dashboards().items():
            await self._put(name, dashboard)

    async def _put(self, name: str, dashboard: dict[str, Any]) -> None:
        for number in range(self._tries):
            try:
                await self._grafana.put(dashboard)
            except Refused as error:
                if not error.passing or number + 1 == self._tries:
                    logger.warning("a dashboard was not put into Grafana", extra={"file": name, "why": str(error)})
                    return
                await asyncio.sleep(self._pause * 2**number)
            else:
                logger.info("a dashboard was put into Grafana", extra={"file": name})
                return
