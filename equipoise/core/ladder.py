"""How a canary climbs: its steps, what an operator may order, and what the evidence decides by itself.

Pure: the time, the evidence and the counts are arguments; a share is percent of keys.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from equipoise.core.canary import Finding, Judgement

LONGEST_HISTORY = 50
FULL = 100.0


class Stage(enum.StrEnum):
    """Where a canary stands. In `shadow` it gets copies only; `paused`, it does not climb but may still be rolled back;
    `promoted`, everything goes to the candidate; `ended`, nothing does."""

    NONE = "none"
    SHADOW = "shadow"
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ENDED = "ended"


ALIVE = (Stage.SHADOW, Stage.RUNNING, Stage.PAUSED)
SERVING = (Stage.RUNNING, Stage.PAUSED, Stage.PROMOTED)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The rungs in percent, how long and over how many of the candidate's questions each lasts at least.

    Fewer than `quiet_requests` of the candidate's questions in `quiet_seconds` are too little traffic to go on by.
    `copies` are compared before the first percent. Without `climbs` every rung is an operator's.
    """

    rungs: tuple[float, ...] = (5.0, 10.0, 25.0, 50.0, FULL)
    hold_seconds: float = 600.0
    least_requests: int = 50
    quiet_seconds: float = 600.0
    quiet_requests: int = 10
    copies: int = 0
    climbs: bool = True

    def above(self, share: float) -> float:
        """The next rung up."""
        return next((rung for rung in self.rungs if rung > share), FULL)


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a canary: the verdict in a word, where it stands afterwards, and the sentence for the journal."""

    verdict: str
    stage: Stage
    share: float
    message: str
    wall: float
    who: str = ""
    why: str = ""


class Standing(msgspec.Struct, frozen=True):
    """Where a canary stands. `candidate` says what it is, for people; `digest` finds it again; `era` counts analyses.

    `waits` says what keeps it from climbing; `since` (Unix seconds) is when this share began, and `from_count` how many
    of the candidate's questions there had been.
    """

    candidate: str = ""
    digest: str = ""
    stage: Stage = Stage.NONE
    share: float = 0.0
    since: float = 0.0
    era: int = 0
    from_count: int = 0
    waits: str = ""
    history: tuple[Move, ...] = ()

    @property
    def alive(self) -> bool:
        """Is there anything to be decided?"""
        return self.stage in ALIVE

    @property
    def serving(self) -> bool:
        """Does the candidate answer anybody?"""
        return self.stage in SERVING and self.share > 0.0

    def moved(self, move: Move, count: int) -> Standing:
        """After a change; a new share begins a new hold."""
        same = move.share == self.share and self.stage is not Stage.SHADOW
        return msgspec.structs.replace(
            self,
            stage=move.stage,
            share=move.share,
            since=self.since if same else move.wall,
            from_count=self.from_count if same else count,
            waits="",
            history=(*self.history, move)[-LONGEST_HISTORY:],
        )


def decide(plan: Plan, standing: Standing, judged: Judgement, count: int, copies: int, now: float) -> Move | None:
    """What the evidence decides now, or None. `count` are the candidate's questions so far, `copies` those compared."""
    if standing.stage is Stage.SHADOW:
        return _after_copies(plan, standing, judged, copies, now)
    if not (standing.alive or standing.serving):
        return None
    if judged.finding in (Finding.HARM, Finding.BROKEN):
        return Move(verdict="rolled_back", stage=Stage.ENDED, share=0.0, message=rolled_back(judged, count), wall=now)
    if standing.stage is not Stage.RUNNING:
        return None
    if judged.finding is Finding.MISMATCH:
        message = f"Halt advancement: {judged.message}"
        return Move(verdict="paused", stage=Stage.PAUSED, share=standing.share, message=message, wall=now)
    if not plan.climbs or holding(plan, standing, judged, count, now):
        return None
    return climb(plan, standing, now, f"{judged.message}, non-inferior with e-value {judged.e_value:.3g}")


def climb(plan: Plan, standing: Standing, now: float, message: str, *, full: bool = False) -> Move:
    """One rung up, or all of them."""
    share = FULL if full else plan.above(standing.share)
    if share >= FULL:
        told = f"Promotion completed: {message}"
        return Move(verdict="promoted", stage=Stage.PROMOTED, share=FULL, message=told, wall=now)
    told = f"Advance canary weight {share:g}: {message}"
    return Move(verdict="advanced", stage=Stage.RUNNING, share=share, message=told, wall=now)


def rolled_back(judged: Judgement, count: int) -> str:
    """In a sentence: what was found, how sure it is, and after how many questions."""
    sure = f", e-value {judged.e_value:.3g}" if judged.finding is Finding.HARM else ""
    return f"{judged.message}{sure}, rolled back after {count} requests"


def holding(plan: Plan, standing: Standing, judged: Judgement, count: int, now: float) -> str:
    """What keeps a running canary on its rung, or nothing."""
    left = standing.since + plan.hold_seconds - now
    if left > 0:
        return f"held for another {left:.0f} s"
    seen = count - standing.from_count
    if seen < plan.least_requests:
        return f"{seen} of at least {plan.least_requests} requests seen at {standing.share:g} %"
    if judged.finding is not Finding.SAFE:
        return f"non-inferiority is not shown yet: {judged.message}, e-value {judged.e_value:.3g}"
    return ""


def too_quiet(plan: Plan, requests: int, seconds: float) -> str:
    """Why there is too little traffic to decide by, or nothing; `requests` are the candidate's of the last `seconds`."""
    if seconds < plan.quiet_seconds or requests >= plan.quiet_requests:
        return ""
    return f"too little traffic: {requests} candidate requests in {seconds / 60:.0f} min"


def _after_copies(plan: Plan, standing: Standing, judged: Judgement, copies: int, now: float) -> Move | None:
    if judged.finding in (Finding.HARM, Finding.BROKEN):
        return Move(verdict="rolled_back", stage=Stage.ENDED, share=0.0, message=rolled_back(judged, copies), wall=now)
    if copies < plan.copies:
        return None
    first = plan.above(0.0) if standing.share == 0.0 else standing.share
    message = f"Advance canary weight {first:g}: {copies} copies compared, nothing found against it"
    return Move(verdict="advanced", stage=Stage.RUNNING, share=first, message=message, wall=now)


class Command(enum.StrEnum):
    """What an operator may order of a canary there is."""

    PROMOTE = "promote"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    UNDO = "undo"
    SET_WEIGHT = "set-weight"


def ordered(
    plan: Plan, standing: Standing, command: Command, now: float, *, full: bool = False, share: float | None = None
) -> Move:
    """What a command comes to. Raises ValueError, saying why, where it makes no sense now."""
    _require(standing, command)
    if command is Command.PROMOTE:
        return climb(plan, standing, now, "by order", full=full)
    if command is Command.SET_WEIGHT:
        return _weighed(standing, share, now)
    if command is Command.UNDO:
        return _undone(standing, now)
    verdict, stage, message = {
        Command.PAUSE: ("paused", Stage.PAUSED, f"Pause canary at {standing.share:g} %"),
        Command.RESUME: ("resumed", Stage.RUNNING, f"Resume canary at {standing.share:g} %"),
        Command.ABORT: ("aborted", Stage.ENDED, f"Abort canary at {standing.share:g} %: the control takes everything"),
    }[command]
    share = 0.0 if stage is Stage.ENDED else standing.share
    return Move(verdict=verdict, stage=stage, share=share, message=message, wall=now)


ALLOWED: Mapping[Command, tuple[Stage, ...]] = {
    Command.PROMOTE: ALIVE,
    Command.PAUSE: (Stage.RUNNING,),
    Command.RESUME: (Stage.PAUSED,),
    Command.ABORT: (*ALIVE, Stage.PROMOTED),
    Command.UNDO: (Stage.RUNNING, Stage.PAUSED, Stage.PROMOTED),
    Command.SET_WEIGHT: (Stage.RUNNING, Stage.PAUSED),
}
"""On which stages a command makes sense."""


def _require(standing: Standing, command: Command) -> None:
    if standing.stage is Stage.NONE:
        raise ValueError("there is no canary: `equipoise canary start --candidate FILE` begins one")
    if standing.stage not in ALLOWED[command]:
        raise ValueError(f"a canary that is {standing.stage.value} cannot be ordered to {command.value}")


def _weighed(standing: Standing, share: float | None, now: float) -> Move:
    if share is None or not 0.0 < share < FULL:
        raise ValueError("a weight lies above 0 and below 100 percent; abort and promote --full are for the ends")
    message = f"Set canary weight {share:g}"
    return Move(verdict="weight_set", stage=standing.stage, share=share, message=message, wall=now)


def _undone(standing: Standing, now: float) -> Move:
    """Back to the share before the newest change of it; before the first there was none."""
    shares = [move.share for move in standing.history]
    before = next((share for share in reversed(shares[:-1]) if share != standing.share), 0.0)
    if before <= 0.0:
        message = "Undo: the control takes everything"
        return Move(verdict="aborted", stage=Stage.ENDED, share=0.0, message=message, wall=now)
    message = f"Undo: canary weight {before:g} again"
    return Move(verdict="undone", stage=Stage.PAUSED, share=before, message=message, wall=now)
