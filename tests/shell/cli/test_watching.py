"""`equipoise backends watch`: samples and a summary of a running gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from threading import Thread

import pytest

from equipoise.http import Request, Response, Server
from tests.shell.cli.conftest import Ran, Run

JSON = ((b"content-type", b"application/json"),)


class Gateway:
    """An admin listener in a thread of its own that shows scripted backends; the last script stays."""

    def __init__(self) -> None:
        self.script: list[list[str | None]] = [[None, None]]
        self.fails_after = 1000
        self._loop = asyncio.new_event_loop()
        self._server = Server(self._answer)
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start("127.0.0.1", 0), self._loop).result()
        self.url = f"http://127.0.0.1:{self._server.port}"

    async def _answer(self, request: Request) -> Response:
        self.fails_after -= 1
        if self.fails_after < 0:
            return Response(500, JSON, b"{}")
        reasons = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        rows = [{"id": f"b{index}", "why_not": why} for index, why in enumerate(reasons)]
        return Response(200, JSON, json.dumps({"in_flight": 0, "backends": rows}).encode())

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.drain(0.0), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    found = Gateway()
    yield found
    found.stop()


def watch(run: Run, gateway: Gateway, *more: str) -> Ran:
    return run("backends", "watch", "--duration", "0.3", "--interval", "0.1", "--admin-url", gateway.url, *more)


def test_a_healthy_fleet_is_sampled_to_the_end(gateway: Gateway, run: Run) -> None:
    """Progress to stderr, the summary to stdout, exit code 0."""
    ran = watch(run, gateway)
    assert ran.code == 0
    assert "available on average: 2.00 of 2" in ran.out
    assert "100%  2 of 2 available" in ran.err


def test_a_moment_without_anybody_is_an_exit_code(gateway: Gateway, run: Run) -> None:
    """One sample in which nobody could be asked is enough; who is away is told with the reason."""
    gateway.script = [[None, "draining"], ["down", "draining"], [None, "draining"]]
    ran = watch(run, gateway, "--json")
    told = json.loads(ran.out)
    assert ran.code == 1
    assert [sample["available_backends"] for sample in told["samples"]][:3] == [1, 0, 1]
    assert told["samples"][1]["unavailable"] == {"b0": "down", "b1": "draining"}
    assert told["summary"]["monitoring_completed"] is True


def test_nobody_there_is_3_and_a_gateway_that_fails_later_ends_it(gateway: Gateway, run: Run) -> None:
    """What was seen until then is still told."""
    assert run("backends", "watch", "--duration", "0", "--admin-url", "http://127.0.0.1:1").code == 3
    gateway.fails_after = 2
    ran = watch(run, gateway)
    assert (ran.code, "2 looks in" in ran.out, "broken off" in ran.out) == (1, True, True)
