"""A whole gateway with its dashboard, over loopback sockets, and a visitor with a cookie jar."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from equipoise.build import Estate
from equipoise.cli.dashboard import recorder_of
from equipoise.cli.serving import make_gateway, watched
from equipoise.config.load import load
from equipoise.gateway import Gateway
from equipoise.http import Pool
from tests.wire.gateway.fleet import Fleet

KEY = "an-admin-key-for-tests"


class House(Fleet):
    """The fleet, put together as `equipoise serve` does."""

    def __init__(self, folder: Path, key: str | None = KEY, **config: Any) -> None:
        super().__init__(folder, listen={"admin_key": key} if key else {}, **config)

    def _estate(self) -> Estate:
        estate, config = super()._estate(), load(self._configuration()).config
        self.canary = watched(config, estate, lambda: config, print)
        return estate

    def _gateway(self) -> Gateway:
        config = load(self._configuration()).config
        return make_gateway(config, self.estate, canary=self.canary, recorder=recorder_of(self.estate))


class Answer:
    """What a page said: status, headers by lower-case name, text."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode()

    @property
    def proof(self) -> str:
        """What the forms of this page bring along."""
        return re.findall(r'name="proof" value="([0-9a-f]+)"', self.text)[0]


class Visitor:
    """A browser without eyes: keeps its cookie, sends Origin with a form."""

    def __init__(self, pool: Pool, origin: str) -> None:
        self._pool, self._origin, self.cookie = pool, origin, ""

    async def get(self, path: str, **headers: str) -> Answer:
        """One page."""
        return await self._sent("GET", path, b"", headers)

    async def post(self, path: str, said: dict[str, str], **headers: str) -> Answer:
        """One form."""
        usual = {"content-type": "application/x-www-form-urlencoded", "origin": self._origin}
        return await self._sent("POST", path, urlencode(said).encode(), usual | headers)

    async def log_in(self, key: str = KEY) -> Answer:
        """With a key."""
        answer = await self.post("/dashboard/login", {"key": key})
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer

    async def _sent(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        if self.cookie:
            fields.append((b"cookie", self.cookie.encode()))
        response = await self._pool.request(method, path, headers=fields, body=body)
        found = {name.decode(): value.decode() for name, value in response.headers.items()}
        return Answer(response.status, found, await response.read())


def visiting(house: House) -> Visitor:
    return Visitor(house.admin, f"http://127.0.0.1:{house._servers[1].port}")
