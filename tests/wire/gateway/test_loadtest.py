"""`equipoise loadtest` against a real gateway over sockets: it keeps its rate, and it does not forgive."""

from __future__ import annotations

import asyncio
import json

import pytest

from equipoise.cli.loading import Load, Plan
from equipoise.http import Abort, Request, Response, Server
from tests.shell.cli.conftest import Run, Served, folder, oracle, run, served  # noqa: F401 (fixtures)


@pytest.fixture
def url(served: Served, monkeypatch: pytest.MonkeyPatch) -> str:  # noqa: F811
    monkeypatch.setenv("EQUIPOISE_URL", served.url)
    return served.url


def test_a_healthy_gateway_passes_its_gates(url: str, run: Run) -> None:  # noqa: F811
    """Whole answers and streams, counted and timed."""
    ran = run("loadtest", "--rate", "100", "--duration", "0.6", "--streams", "0.5", "--json", "--max-errors", "0")
    found = json.loads(ran.out)
    assert (ran.code, found["total_requests"], found["successful"], found["streams"]) == (0, 60, 60, 30)
    assert found["ttft_ms"]["p50"] <= found["max_ms"]


def test_a_missed_gate_is_exit_code_1(url: str, run: Run) -> None:  # noqa: F811
    """With what was missed, on stderr, and the six lines on stdout."""
    ran = run(
        "loadtest", "--rate", "50", "--duration", "0.2", "--question", "fail", "--max-errors", "5", "--max-p99", "1000"
    )
    assert ran.code == 1
    assert "Failed: 10 (100.0%)" in ran.out
    assert "x status 502 upstream_error" in ran.out
    assert "100.00 % of the requests failed, 5 % may" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("--rate", "0"), 2), (("--streams", "2"), 2), (("--url", "x"), 2), (("--url", "http://127.0.0.1:1"), 3)],
)
def test_what_cannot_be_run_is_said_at_once(run: Run, arguments: tuple[str, ...], code: int) -> None:  # noqa: F811
    """Before anything was sent."""
    assert run("loadtest", "--duration", "0.1", *arguments).code == code


async def test_a_target_that_hangs_does_not_slow_the_questions_down() -> None:
    """The next is sent in its time, and waiting counts from when each was due: no coordinated omission."""
    stuck = asyncio.Event()
    arrived: list[float] = []

    async def handle(request: Request) -> Response:
        arrived.append(asyncio.get_running_loop().time())
        await stuck.wait()
        return Response(200, (), b"{}")

    server = Server(handle)
    await server.start()
    asyncio.get_running_loop().call_later(0.5, stuck.set)
    taken = await Load(f"http://127.0.0.1:{server.port}", Plan(rate=100.0, seconds=0.3)).run()
    await server.drain(1.0)
    assert len(arrived) == len(taken) == 30
    assert arrived[-1] - arrived[0] < 0.45
    assert all(each.answered and each.seconds + each.at > 0.45 for each in taken)


async def test_connections_that_break_are_failures_by_phase() -> None:
    """Refused and reset are told apart."""

    async def reset(request: Request) -> Response:
        raise Abort(reset=True)

    server = Server(reset)
    await server.start()
    plan = Plan(rate=100.0, seconds=0.05)
    broken = await Load(f"http://127.0.0.1:{server.port}", plan).run()
    await server.drain(0)
    refused = await Load(f"http://127.0.0.1:{server.port}", plan).run()
    assert {each.fate for each in broken} == {"wait: connection failed"}
    assert {each.fate for each in refused} == {"connect: connection failed"}
