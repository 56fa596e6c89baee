"""The shipped command line and a canary that goes wrong, over two gateways that share a state directory."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.patience import until_true
from tests.shell.cli.conftest import Served, start

CONFIG = """\
backend_instances:
  engine: {backend_type: function, function: "engines:good", circuit_breaker_enabled: false}
  other: {backend_type: function, function: "engines:flaky", circuit_breaker_enabled: false, priority: 2}
retry: {max_attempts: 1}
state_dir: state
canary: {failures_in_a_row: 30}
"""
ENGINES = """\
import itertools

number = itertools.count()


async def good(question):
    return "good"


async def flaky(question):
    if next(number) % 3 == 0:
        raise RuntimeError("flaky")
    return "flaky"
"""
CANDIDATE = "backend_instances: {engine: {priority: 3}}\n"


class Heard(NamedTuple):
    """One answer as its caller got it; the question went out at `wall`."""

    status: int
    side: str | None
    wall: float
    seconds: float


@pytest.fixture
def gateways(folder: Path) -> Iterator[list[Served]]:
    """Two processes, one state directory."""
    for name, text in (("equipoise.yaml", CONFIG), ("engines.py", ENGINES), ("new.yaml", CANDIDATE)):
        (folder / name).write_text(text)
    processes = [start("serve", "--port", "0", folder=folder) for _ in range(2)]
    served = []
    for process in processes:
        assert process.stdout is not None
        served.append(Served(process, [process.stdout.readline().rstrip() for _ in range(5)]))
    yield served
    for one in served:
        if one.process.poll() is None:
            one.stop()


def ask(url: str, number: int) -> Heard:
    """One question of a user of his own."""
    body = {"model": "auto", "user": f"u{number}", "messages": [{"role": "user", "content": "What is lactate?"}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    wall, began = time.time(), time.monotonic()
    with urllib.request.urlopen(request, timeout=10) as response:
        return Heard(response.status, response.headers["x-equipoise-canary"], wall, time.monotonic() - began)


def slowest(heard: list[Heard]) -> float:
    """The longest that anybody waited for an answer."""
    return max(one.seconds for one in heard)


def look(gateway: Served) -> dict[str, Any]:
    """What the gateway says of its canary."""
    with urllib.request.urlopen(f"{gateway.admin_url}/admin/canary", timeout=10) as response:
        found: dict[str, Any] = json.load(response)
    return found


def told(*arguments: str, folder: Path, admin: str) -> tuple[int, str]:
    """Exit code and output of a command."""
    process = start("canary", *arguments, "--admin-url", admin, folder=folder)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_a_bad_candidate_is_out_within_a_second_in_every_process_and_nobody_noticed(
    gateways: list[Served], folder: Path
) -> None:
    """Every question is answered; none that goes out later than a second after the verdict is asked of the candidate, by
    neither gateway; `status -w`, begun before, ends with exit code 1 and the sentence."""
    admin = gateways[0].admin_url
    code, out = told("start", "--candidate", "new.yaml", "--at", "50%", "--yes", folder=folder, admin=admin)
    assert code == 0, out
    until_true(lambda: look(gateways[1])["stage"] == "running", 5.0)
    watching = start("canary", "status", "-w", "--admin-url", admin, folder=folder)
    heard: list[Heard] = []
    with ThreadPoolExecutor(8) as people:
        urls = [gateways[number % 2].url for number in range(40)]
        while look(gateways[0])["stage"] == "running" and len(heard) < 4000:
            heard += people.map(ask, urls, range(len(heard), len(heard) + 40))
        assert look(gateways[0])["stage"] == "ended"
        until_true(lambda: "rolled back after" in look(gateways[0])["journal"][0]["what"])
        verdict = look(gateways[0])["journal"][0]
        while heard[-1].wall < verdict["wall"] + 2.0 + slowest(heard):
            heard += people.map(ask, urls, range(40))
    assert {one.status for one in heard} == {200}
    assert "candidate errs" in verdict["what"]
    candidates = [one.wall for one in heard if one.side == "candidate"]
    assert len(candidates) > 20
    assert max(candidates) <= verdict["wall"] + 1.0
    out, err = watching.communicate(timeout=30)
    assert watching.returncode == 1, err
    assert "rolled back after" in out + err
