"""Who is in and when the next phase may begin: a share of traffic by key, five phases, gates over what was measured.

Pure: the time, the evidence and the criteria are arguments.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping

import msgspec

from equipoise.core.model import NanoUSD

CONTROL, CANDIDATE, SHADOW, VALIDATION = "control", "candidate", "shadow", "validation"
RESCUE, TRIAL = "rescue", "trial"
"""Rescue: the control answers what the candidate could not; a comparison would be unfair with these among the control's.
Trial: a copy that buys labels for learning, of no canary's concern."""
REAL_TIME_MONITORING, COST_OPTIMIZATION = "real_time_monitoring", "cost_optimization"
QUALITY_BASED_ROUTING, ADAPTIVE_ROUTING = "quality_based_routing", "adaptive_routing"
FIRST, LAST = 1, 5
LONGEST_HISTORY = 50
_NAMES = ("no phase", "parallel deployment", "first traffic", "cost and quality", "adaptive routing", "everything")


class Phase(msgspec.Struct, frozen=True):
    """One of the five steps: percent of keys that the new side takes, what is switched on, how many questions test it."""

    number: int
    percentage: float
    switches_on: tuple[str, ...]
    queries: int

    @property
    def name(self) -> str:
        """A word for people."""
        return _NAMES[self.number]


PHASES: Mapping[int, Phase] = {
    1: Phase(1, 0.0, (), 3),
    2: Phase(2, 10.0, (REAL_TIME_MONITORING,), 3),
    3: Phase(3, 25.0, (COST_OPTIMIZATION, QUALITY_BASED_ROUTING), 10),
    4: Phase(4, 50.0, (ADAPTIVE_ROUTING,), 15),
    5: Phase(5, 100.0, (), 9),
}
FEATURES = tuple(feature for phase in PHASES.values() for feature in phase.switches_on)


def features_of(phase: int) -> tuple[str, ...]:
    """What is switched on in a phase: its own features and those of all before it."""
    return tuple(feature for number in range(FIRST, phase + 1) for feature in PHASES[number].switches_on)


def phase_at(percentage: float) -> int:
    """The highest phase that has no more traffic than this."""
    return max(number for number, phase in PHASES.items() if phase.percentage <= percentage)


def position(key: str, salt: str = "") -> float:
    """Where a key stands in [0, 100), always at the same place; another salt shuffles all keys."""
    digest = hashlib.blake2b(f"{salt}\0{key}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53 * 100.0  # 53 bits: 100.0 itself is never reached


def candidate_takes(key: str, percentage: float, salt: str = "") -> bool:
    """Does the new side answer this key? Sticky, and monotone: a higher percentage never expels anyone."""
    return position(key, salt) < percentage


class Step(msgspec.Struct, frozen=True):
    """A change that was made: to which phase and percentage, when (Unix seconds), by whom and why."""

    phase: int
    percentage: float
    wall: float
    who: str
    why: str


class State(msgspec.Struct, frozen=True):
    """Where the move stands. Phase 0: not begun. `since` is Unix seconds, `era` counts the changes."""

    phase: int = 0
    percentage: float = 0.0
    since: float = 0.0
    era: int = 0
    features: tuple[str, ...] = ()
    history: tuple[Step, ...] = ()

    @property
    def comparison(self) -> int:
        """Counts the comparisons: a phase goes on with the one before it, a step back ends it."""
        shares = [step.percentage for step in self.history]
        falls = [index for index in range(1, len(shares)) if shares[index] < shares[index - 1]]
        return self.era - len(shares) + (falls[-1] if falls else 0)

    def moved(self, step: Step) -> State:
        """The state after a change."""
        history = (*self.history, step)[-LONGEST_HISTORY:]
        return State(step.phase, step.percentage, step.wall, self.era + 1, features_of(step.phase), history)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator wants: a phase, or exactly this percentage; `force` passes over order, holds and gates."""

    phase: int | None = None
    percentage: float | None = None
    force: bool = False
    who: str = ""
    why: str = ""
    dry_run: bool = False

    def target(self) -> tuple[int, float]:
        """The phase and percentage asked for. Raises ValueError unless exactly one of both is given and exists."""
        if (self.phase is None) == (self.percentage is None):
            raise ValueError("say either a phase or a percentage")
        if self.percentage is not None:
            if not 0 <= self.percentage <= 100:
                raise ValueError("a percentage lies between 0 and 100")
            return phase_at(self.percentage), float(self.percentage)
        phase = PHASES.get(self.phase or 0)
        if phase is None:
            raise ValueError(f"there are phases {FIRST} to {LAST}")
        return phase.number, phase.percentage


def phases_passed(state: State, order: Order) -> tuple[int, ...]:
    """The phases that begin with this order, in turn; none when it lowers the traffic or stays where it is."""
    phase, percentage = order.target()
    if order.percentage is not None and percentage < state.percentage:
        return ()
    return tuple(range(state.phase + 1, phase + 1))


def raises_traffic(state: State, order: Order) -> bool:
    """Does the order need gates: more traffic, or a later phase?"""
    phase, percentage = order.target()
    return percentage > state.percentage or (phase > state.phase and percentage >= state.percentage)


def refusal(state: State, order: Order, now: float, holds: Mapping[int, float]) -> str | None:
    """Why this order may not be carried out now (order of phases, hold times in seconds), or None. `force` has no such."""
    phase, _ = order.target()
    if order.force or order.percentage is not None:
        return None
    if phase < state.phase:
        return f"phase {state.phase} has begun: to go back is a rollback to phase {phase}"
    if phase > state.phase + 1:
        return f"phase {state.phase + 1} comes first (now: {state.phase})"
    left = state.since + holds.get(state.phase, 0.0) - now
    if phase > state.phase and state.phase and left > 0:
        return f"phase {state.phase} is held for another {_minutes(left)}"
    return None


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"


class Criteria(msgspec.Struct, frozen=True, kw_only=True):
    """The specification's success criteria, and how many answers of real traffic must have been seen to judge by."""

    response_time_ms: float = 2000.0
    success_rate_percentage: float = 95.0
    cost_efficiency_ratio: float = 0.8
    quality_score_minimum: float = 0.75
    minimum_requests: int = 20


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over questions: asked, answered, seconds and nano-dollars of the answered, of how many the cost is known; the
    qualities of those that were scored."""

    requests: int = 0
    answered: int = 0
    seconds: float = 0.0
    cost: NanoUSD = 0
    costed: int = 0
    quality: float = 0.0
    scored: int = 0

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(
            requests=self.requests + other.requests,
            answered=self.answered + other.answered,
            seconds=self.seconds + other.seconds,
            cost=self.cost + other.cost,
            costed=self.costed + other.costed,
            quality=self.quality + other.quality,
            scored=self.scored + other.scored,
        )


class Result(enum.StrEnum):
    """What a gate came to; what was not measured has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_MEASURED = "not measured"


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion: what it wants, what was measured, and over what. `waits_for` says what must come before it
    can be measured at all."""

    name: str
    target: float
    measured: float | None
    result: Result
    note: str = ""
    waits_for: str | None = None

    @property
    def holds_back(self) -> bool:
        """Does this gate keep the next phase from beginning? Only one that nothing can measure yet does not."""
        return self.result is Result.FAILED or (self.result is Result.NOT_MEASURED and self.waits_for is None)


def gates(
    criteria: Criteria,
    new: Evidence,
    old: Evidence,
    *,
    needed: int,
    pending: Mapping[str, str],
) -> tuple[Gate, ...]:
    """The four criteria over the new side's evidence; `needed` questions make a measure. `pending` maps a gate that
    nothing can measure yet to the feature that will."""
    time = new.seconds / new.answered * 1000 if new.answered else None
    rate = new.answered / new.requests * 100 if new.requests else None
    seen = f"over {new.requests} questions"
    few = None if new.requests >= needed else f"{new.requests} of at least {needed} questions seen"
    efficiency, why = cost_efficiency(new, old)
    if not old.cost:  # it may never tell, and that must not hold the move back for ever
        pending = {**pending, "cost_efficiency_ratio": "the old side tells its cost"}
    if not criteria.quality_score_minimum:
        pending = {**pending, "quality_score_minimum": "a minimum is asked for"}
    unscored = None if new.scored >= needed else f"{new.scored} of at least {needed} answers scored"
    quality = new.quality / new.scored if new.scored and not unscored else None
    return (
        _gate("response_time_ms", criteria.response_time_ms, None if few else time, few or seen, pending, most=True),
        _gate("success_rate_percentage", criteria.success_rate_percentage, None if few else rate, few or seen, pending),
        _gate(
            "cost_efficiency_ratio", criteria.cost_efficiency_ratio, None if few else efficiency, few or why, pending
        ),
        _gate(
            "quality_score_minimum",
            criteria.quality_score_minimum,
            quality,
            unscored or f"over {new.scored} scored answers",
            pending,
        ),
    )


def cost_efficiency(new: Evidence, old: Evidence) -> tuple[float | None, str]:
    """What the old side pays for an answer, divided by what the new one pays; None where the new price is unknown.

    The specification's target of 0.8 so lets an answer cost at most a quarter more than before. An old side that
    reports nothing has an unknown price, not a price of zero: then there is nothing to compare with.
    """
    if not new.costed or new.costed < new.answered:
        return None, "the price of some new answers is unknown"
    if not old.costed or not old.cost:
        return None, "what the old side pays is unknown"
    return (old.cost / old.costed) / max(
        new.cost / new.costed, 1.0
    ), f"over {old.costed} old and {new.costed} new answers"


def _gate(
    name: str, target: float, measured: float | None, note: str, pending: Mapping[str, str], *, most: bool = False
) -> Gate:
    if measured is None:
        return Gate(
            name=name,
            target=target,
            measured=None,
            result=Result.NOT_MEASURED,
            note=note,
            waits_for=pending.get(name),
        )
    good = measured <= target if most else measured >= target
    return Gate(name=name, target=target, measured=measured, result=Result.PASSED if good else Result.FAILED, note=note)
