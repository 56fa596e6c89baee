"""What was under way when a gateway died is booked by the next one as a possible cost, once, and for no tenant."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.events import AttemptBegan, AttemptEnded
from equipoise.core.model import Attempt, Decision, Outcome, Verdict
from equipoise.stores import Ledger
from equipoise.stores.under_way import AT_ONCE, NOBODY, SLOTS, UnderWay, left_behind
from tests.shell.cli.conftest import ROOT


def decision(backend: str = "papers") -> Decision:
    return Decision(
        backend_id=backend, strategy="weighted", route="auto", reason="r", probability=1.0,
        compared={}, probabilities={}, excluded={}, candidates=(),
    )  # fmt: skip


def began(request_id: str, number: int = 1) -> AttemptBegan:
    return AttemptBegan(request_id, number, 5.0, "clinic", "lightrag", "m", True, decision())


def ended(request_id: str, number: int = 1, wall: float = 5.0, cost: int = 0) -> AttemptEnded:
    return AttemptEnded(
        Attempt(
            request_id=request_id, number=number, wall=wall, tenant="clinic", tags=(), backend_id="papers",
            backend_type="lightrag", model="m", stream=True, decision=decision(),
            outcome=Outcome(verdict=Verdict.SUCCESS, duration=1.0, cost=cost),
        )
    )  # fmt: skip


def killed(folder: Path, *lines: str) -> None:
    """A process that notes attempts and is killed with -9."""
    code = "\n".join(
        (
            "import os, pathlib, signal",
            "from equipoise.stores.under_way import UnderWay",
            "from tests.shell.stores.test_under_way import began, ended",
            f"it = UnderWay(pathlib.Path({str(folder)!r}))",
            *lines,
            "os.kill(os.getpid(), signal.SIGKILL)",
        )
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9


def test_a_killed_process_leaves_exactly_what_had_not_ended(tmp_path: Path) -> None:
    """One of three; with its tenant as a tag, the cost for nobody, and only once."""
    lines = [f"it.observe(began('req-{n}'))" for n in range(3)] + [f"it.observe(ended('req-{n}'))" for n in (0, 2)]
    killed(tmp_path, *lines)
    (left,) = left_behind(tmp_path)
    assert (left.request_id, left.tenant, left.tags) == ("req-1", NOBODY, ("tenant:clinic",))
    assert (left.outcome.verdict, left.outcome.error_code, left.outcome.interrupted) == (Verdict.IGNORED, "lost", True)
    assert left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("over", [False, True])
def test_what_is_left_says_of_the_attempt_what_was_known_of_it(tmp_path: Path, *, over: bool) -> None:
    """Each value in its own place, of one under way and of one that had ended."""
    it = UnderWay(tmp_path, keep_seconds=60.0)
    it.observe(began("id", 3))
    if over:
        it.observe(ended("id", 3, wall=7.25, cost=11))
    it._file.abandon()
    (left,) = left_behind(tmp_path)
    assert (left.request_id, left.number, left.tags) == ("id", 3, ("tenant:clinic",))
    assert (left.backend_id, left.backend_type, left.model, left.stream) == ("papers", "lightrag", "m", True)
    assert (left.decision.backend_id, left.decision.route, left.decision.strategy) == ("papers", "auto", "weighted")
    assert (left.wall, left.outcome.cost) == ((7.25, 11) if over else (5.0, 0))


def test_the_living_are_left_alone(tmp_path: Path) -> None:
    """Two gateways may share a folder; a proper stop leaves nothing."""
    it = UnderWay(tmp_path)
    it.observe(began("mine"))
    assert left_behind(tmp_path) == []
    it.close()
    it.observe(began("late"))
    it.observe(ended("mine"))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=200))
def test_any_order_of_beginnings_and_ends_leaves_the_difference(steps: list[tuple[int, bool]]) -> None:
    """Slots are used again and never mixed up."""
    with tempfile.TemporaryDirectory() as place:
        it, open_ones, number = UnderWay(Path(place)), set[tuple[str, int]](), 0
        for key, begin in steps:
            if begin:
                number += 1
                it.observe(began(f"r{key}", number))
                open_ones.add((f"r{key}", number))
            elif open_ones:
                request_id, of = sorted(open_ones)[key % len(open_ones)]
                it.observe(ended(request_id, of))
                open_ones.discard((request_id, of))
        it._file.abandon()
        assert {(each.request_id, each.number) for each in left_behind(Path(place))} == open_ones


def test_more_than_there_is_room_for_is_not_noted(tmp_path: Path) -> None:
    """Nor is what is too long for a slot; nothing breaks."""
    it = UnderWay(tmp_path)
    for number in range(SLOTS + 5):
        it.observe(began(f"r{number}"))
    it.observe(ended("r3"))
    it.observe(began("x" * 600))
    it.observe(began("again"))
    assert len(it._taken) == SLOTS
    it.close()


async def test_a_bill_whose_record_was_on_its_way_is_booked_exactly_and_one_that_had_arrived_is_not_booked_twice(
    tmp_path: Path,
) -> None:
    """Three were answered within the last moment before a kill, and the ledger had come to know of one."""
    answers = [ended(f"r{number}", wall=7.25 + number, cost=1_000 + number) for number in range(3)]
    it = UnderWay(tmp_path, keep_seconds=2.0)
    for answer in answers:
        it.observe(began(answer.attempt.request_id))
        it.observe(answer)
    it._file.abandon()
    with closing(Ledger(tmp_path / "ledger.sqlite3", wall=lambda: 10.0)) as ledger:
        ledger.record(answers[1].attempt)
        await ledger.flush()
        for attempt in left_behind(tmp_path):
            ledger.record(attempt)
        await ledger.flush()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as records:
        rows = records.execute("SELECT request_id, number, cost, tenant FROM attempts ORDER BY request_id").fetchall()
    assert rows == [("r0", 1, 1_000, NOBODY), ("r1", 1, 1_001, "clinic"), ("r2", 1, 1_002, NOBODY)]


def test_what_has_ended_stays_noted_until_its_record_must_be_there(tmp_path: Path) -> None:
    """For as long as was said, or until a place is wanted; then a few go with each question, whatever the pause before."""
    now = 100.0
    it = UnderWay(tmp_path, keep_seconds=2.0, monotonic=lambda: now)
    for number in range(SLOTS):
        it.observe(began(f"r{number}"))
        it.observe(ended(f"r{number}"))
    assert len(it._free) == 0
    it.observe(began("wants a place"))
    assert (len(it._taken), len(it._ended)) == (1, SLOTS - AT_ONCE)
    it.observe(ended("wants a place"))
    now = 101.9
    it.observe(began("next"))
    assert len(it._ended) == SLOTS - AT_ONCE + 1
    now = 102.0
    for number in range(SLOTS // AT_ONCE + 1):
        it.observe(began(f"and next {number}"))
    assert (len(it._taken), len(it._ended)) == (2 + SLOTS // AT_ONCE, 0)
    it.close()
