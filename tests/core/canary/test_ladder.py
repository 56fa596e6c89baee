"""How a canary climbs, waits, is rolled back, and what an operator may order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.canary import Finding, Judgement
from equipoise.core.ladder import (
    ALIVE,
    Command,
    Move,
    Plan,
    Stage,
    Standing,
    decide,
    holding,
    ordered,
    too_quiet,
)

PLAN = Plan(rungs=(5.0, 25.0, 100.0), hold_seconds=60.0, least_requests=50)
SAFE = Judgement(finding=Finding.SAFE, message="candidate errs 1.0 % against 1.1 %", measure="errors", e_value=25.0)
OPEN = Judgement(finding=Finding.OPEN, message="candidate errs 1.0 % against 1.1 %", measure="errors", e_value=3.0)
HARM = Judgement(finding=Finding.HARM, message="candidate errs 4.1 % against 1.2 %", measure="errors", e_value=37.0)
BROKEN = Judgement(finding=Finding.BROKEN, message="candidate failed 8 times in a row", measure="errors")
MISMATCH = Judgement(finding=Finding.MISMATCH, message="half the keys are missing", measure="sample_ratio")


def at(share: float, stage: Stage = Stage.RUNNING, since: float = 0.0, from_count: int = 0) -> Standing:
    """A canary there."""
    return Standing("new.yaml", "d", stage, share, since, 1, from_count)


def test_harm_rolls_back_from_any_share_in_flaggers_voice() -> None:
    """Also while it is paused; the sentence holds both sides, the e-value and the count."""
    for stage in (Stage.RUNNING, Stage.PAUSED):
        move = decide(PLAN, at(25.0, stage), HARM, 412, 0, 1.0)
        assert move is not None
        assert (move.verdict, move.stage, move.share) == ("rolled_back", Stage.ENDED, 0.0)
        assert move.message == "candidate errs 4.1 % against 1.2 %, e-value 37, rolled back after 412 requests"


def test_a_promoted_canary_is_not_judged_by_old_comparisons_but_still_by_a_breaker() -> None:
    """At 100 percent nobody is compared any more; failing every time still ends it."""
    assert decide(PLAN, at(100.0, Stage.PROMOTED), OPEN, 9, 0, 1e9) is None
    move = decide(PLAN, at(100.0, Stage.PROMOTED), BROKEN, 9, 0, 1.0)
    assert move is not None
    assert move.share == 0.0


def test_a_rung_needs_its_hold_its_requests_and_non_inferiority() -> None:
    """Each is missing once; with all three it climbs, and from the last rung it is promoted."""
    assert decide(PLAN, at(5.0), SAFE, 50, 0, 59.0) is None
    assert decide(PLAN, at(5.0), SAFE, 49, 0, 60.0) is None
    assert decide(PLAN, at(5.0), OPEN, 50, 0, 60.0) is None
    move = decide(PLAN, at(5.0), SAFE, 50, 0, 60.0)
    assert move is not None
    assert (move.verdict, move.share) == ("advanced", 25.0)
    assert move.message.startswith("Advance canary weight 25: candidate errs")
    last = decide(PLAN, at(25.0), SAFE, 50, 0, 60.0)
    assert last is not None
    assert (last.verdict, last.stage, last.share) == ("promoted", Stage.PROMOTED, 100.0)


def test_what_holds_it_is_said() -> None:
    """The hold, the requests, the missing proof, each in words."""
    assert holding(PLAN, at(5.0), SAFE, 50, 20.0) == "held for another 40 s"
    assert holding(PLAN, at(5.0, from_count=10), SAFE, 50, 60.0) == "40 of at least 50 requests seen at 5 %"
    assert "non-inferiority is not shown yet" in holding(PLAN, at(5.0), OPEN, 50, 60.0)


def test_a_canary_that_does_not_climb_is_still_rolled_back() -> None:
    """climbs: false leaves every rung to an operator, never the emergency."""
    plan = Plan(climbs=False, hold_seconds=0.0, least_requests=0)
    assert decide(plan, at(5.0), SAFE, 99, 0, 1e9) is None
    assert decide(plan, at(5.0), HARM, 99, 0, 1e9) is not None


def test_a_mismatch_pauses() -> None:
    """What cannot be compared neither climbs nor is rolled back."""
    move = decide(PLAN, at(5.0), MISMATCH, 500, 0, 1e9)
    assert move is not None
    assert (move.verdict, move.stage, move.share) == ("paused", Stage.PAUSED, 5.0)
    assert move.message == "Halt advancement: half the keys are missing"
    assert decide(PLAN, at(5.0, Stage.PAUSED), MISMATCH, 500, 0, 1e9) is None


def test_copies_come_before_the_first_percent() -> None:
    """So many must have been compared; bad ones end it before anybody was served."""
    plan = Plan(copies=20)
    shadow = at(5.0, Stage.SHADOW)
    assert decide(plan, shadow, OPEN, 0, 19, 1.0) is None
    begun = decide(plan, shadow, OPEN, 0, 20, 1.0)
    assert begun is not None
    assert (begun.stage, begun.share) == (Stage.RUNNING, 5.0)
    ended = decide(plan, shadow, BROKEN, 0, 9, 1.0)
    assert ended is not None
    assert ended.stage is Stage.ENDED


def test_too_little_traffic_is_said() -> None:
    """Three questions in ten minutes are too few, fifty are not, and nine minutes are too short to say."""
    plan = Plan()
    assert too_quiet(plan, 3, 600.0) == "too little traffic: 3 candidate requests in 10 min"
    assert too_quiet(plan, 50, 600.0) == ""
    assert too_quiet(plan, 3, 599.0) == ""


def test_orders() -> None:
    """Promote climbs one rung, full climbs all, pause and resume keep the share, abort ends, a weight is set."""
    standing = at(5.0)
    assert ordered(PLAN, standing, Command.PROMOTE, 1.0).share == 25.0
    assert ordered(PLAN, standing, Command.PROMOTE, 1.0, full=True).stage is Stage.PROMOTED
    paused = standing.moved(ordered(PLAN, standing, Command.PAUSE, 1.0), 3)
    assert (paused.stage, paused.share, paused.since) == (Stage.PAUSED, 5.0, 0.0)
    assert ordered(PLAN, paused, Command.RESUME, 2.0).stage is Stage.RUNNING
    assert ordered(PLAN, paused, Command.ABORT, 2.0).share == 0.0
    assert ordered(PLAN, standing, Command.SET_WEIGHT, 1.0, share=12.5).share == 12.5


def test_undo_goes_back_to_the_share_before() -> None:
    """From full promotion to the rung before, and from the first rung to nothing."""
    standing = Standing("c", "d").moved(
        Move(verdict="started", stage=Stage.RUNNING, share=5.0, message="", wall=1.0), 0
    )
    full = standing.moved(ordered(PLAN, standing, Command.PROMOTE, 2.0, full=True), 9)
    undone = ordered(PLAN, full, Command.UNDO, 3.0)
    assert (undone.share, undone.stage) == (5.0, Stage.PAUSED)
    assert ordered(PLAN, standing, Command.UNDO, 3.0).stage is Stage.ENDED


@pytest.mark.parametrize("command", list(Command))
def test_without_a_canary_there_is_nothing_to_order(command: Command) -> None:
    """And the refusal says how to begin one."""
    with pytest.raises(ValueError, match="canary start"):
        ordered(PLAN, Standing(), command, 0.0)


@pytest.mark.parametrize("share", [None, 0.0, 100.0, -1.0])
def test_a_weight_that_is_none_is_refused(share: float | None) -> None:
    """Both ends have commands of their own."""
    with pytest.raises(ValueError, match="weight"):
        ordered(PLAN, at(5.0), Command.SET_WEIGHT, 0.0, share=share)


@given(st.lists(st.sampled_from([SAFE, OPEN, HARM, BROKEN, MISMATCH]), max_size=40), st.integers(0, 300))
def test_the_share_never_falls_but_to_nothing(judgements: list[Judgement], step: int) -> None:
    """Whatever is judged in whatever order: the share rises along the ladder or ends at 0, and once ended it stays so."""
    standing, now, count = at(5.0), 0.0, 0
    for judged in judgements:
        now, count = now + step, count + step
        move = decide(PLAN, standing, judged, count, 0, now)
        if move is not None:
            assert move.share >= standing.share or (move.share, move.stage) == (0.0, Stage.ENDED)
            assert standing.stage in (*ALIVE, Stage.PROMOTED)
            standing = standing.moved(move, count)
