"""equipoise top: one look, looks as JSON, and the picture."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from rich.console import Console

from equipoise.cli.top import drawn, rates
from tests.shell.cli.conftest import ROOT, Run, Served, start

ROW: dict[str, Any] = {
    "id": "web", "status": "healthy", "draining": False, "breaker": {"state": "closed"}, "in_flight": 1, "limit": 16.0,
    "requests": 10, "errors": 0, "no_answers": 0, "response_time": 0.5, "first_token": 0.0, "quality": 0.9, "weight": 1.0,
    "cost_usd": "0.250000000", "why_not": None,
}  # fmt: skip
LOOK: dict[str, Any] = {
    "wall": 100.0,
    "url": "http://127.0.0.1:4001",
    "in_flight": 1,
    "waiting": 0,
    "backends": [ROW],
    "budgets": [],
    "alerts": [],
}


def written(found: dict[str, Any], width: int = 80, **more: str) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as capture:
        console.print(drawn(found, **more))
    return capture.get()


def test_once_prints_one_picture(served: Served, run: Run) -> None:
    """A line of sums and a row a backend; exit code 0."""
    ran = run("top", "--once", "--admin-url", served.admin_url)
    assert ran.code == 0
    assert "backends able" in ran.out
    assert "backend" in ran.out.splitlines()[1]


def test_json_is_one_document_a_look(served: Served, run: Run) -> None:
    """One with --once; one a line without, with what happened a second from the second on."""
    once = json.loads(run("top", "--once", "--json", "--admin-url", served.admin_url).out)
    assert once["backends"][0]["per_second"] is None
    process = start("top", "--json", "--every", "0.5", "--admin-url", served.admin_url, folder=ROOT)
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    process.send_signal(2)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert first["backends"][0]["per_second"] is None
    assert second["backends"][0]["per_second"] == 0.0


def test_nobody_there_is_3(run: Run) -> None:
    """And says how to start one."""
    ran = run("top", "--once", "--admin-url", "http://127.0.0.1:9")
    assert ran.code == 3
    assert "equipoise serve" in ran.err


def test_rates_are_of_the_time_between_two_looks() -> None:
    """Attempts a second and the share that failed; a gateway that began anew is not known yet."""
    later = {**LOOK, "wall": 104.0, "backends": [{**ROW, "requests": 18, "errors": 1, "no_answers": 1}]}
    (row,) = rates(later, LOOK)["backends"]
    assert (row["per_second"], row["error_share"]) == (2.0, 0.25)
    (anew,) = rates(LOOK, later)["backends"]
    assert (anew["per_second"], anew["error_share"]) == (None, None)


def test_a_canarys_sides_are_told_apart() -> None:
    """The candidate's backends have the same names and rates of their own."""
    both = [{**ROW, "side": "control"}, {**ROW, "side": "candidate", "requests": 3}]
    later = [{**both[0], "requests": 14}, {**both[1], "requests": 5}]
    found = rates({**LOOK, "wall": 102.0, "backends": later}, {**LOOK, "backends": both})
    assert [row["per_second"] for row in found["backends"]] == [2.0, 1.0]
    assert "web (candidate)" in written(found)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_picture_fits(width: int) -> None:
    """No line is wider than the terminal, and what a gateway says cannot steer it."""
    bad = {**ROW, "id": "evil\x1b[2J", "why_not": "down\x1b]0;x\x07 " + "because " * 60, "breaker": {"state": "open"}}
    budgets = [{"budget": "daily", "unit": "usd", "spent": "1.5", "limit": "2", "share": 0.75}]
    alerts = [{"severity": "critical", "message": "\x1b[31mbad"}]
    text = written(
        rates({**LOOK, "backends": [ROW, bad], "budgets": budgets, "alerts": alerts}, None), width, trouble="gone"
    )
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    if width >= 80:
        for word in ("● healthy", "■ open", "$1.50", "75%", "critical", "gone"):
            assert word in text


def test_it_looks_when_it_says() -> None:
    """The time of a look is its own."""
    assert written(LOOK | {"backends": rates(LOOK, None)["backends"]}).startswith(
        time.strftime("%H:%M:%S", time.localtime(100.0))
    )
