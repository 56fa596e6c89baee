"""Is the candidate worse than the control? An answer that may be asked for after every request.

Five measures are compared, each with its own part of α; together they find a candidate that is no worse to be worse with
probability α at most, however long one looks. Promotion wants the opposite shown: for each required measure, that the
harm is below its margin, at level `safe_alpha`. Nothing needs correcting there: all of them must be shown.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping

import msgspec

from equipoise.core.comparison import Comparison, Measure, interval
from equipoise.core.proportion import CELLS, Proportion

ERRORS, LATENCY, FIRST_TOKEN, COST, QUALITY = "errors", "latency", "first_token", "cost", "quality"
LEFT, FAST = "left", 0.1
CONTROL_SICK, LOOKS_BACK = 0.25, 20.0
__all__ = ["CELLS", "Analysis", "Finding", "Judgement", "Observation", "Rules", "measures"]


def measures(
    *,
    alpha: Mapping[str, float] | None = None,
    margin: Mapping[str, float] | None = None,
    tolerance: Mapping[str, float] | None = None,
    fast_seconds: float = FAST,
    required: tuple[str, ...] = (ERRORS, LATENCY),
) -> dict[str, Measure]:
    """The five measures with the given parts of α, margins and tolerances, or ours where none is given; answers within
    `fast_seconds` are equally fast."""
    alphas, margins = {**ALPHA, **(alpha or {})}, {**MARGIN, **(margin or {})}
    tolerances = {**TOLERANCE, **(tolerance or {})}
    return {
        name: Measure(
            name=name,
            alpha=alphas[name],
            margin=margins[name],
            ratio=name in (LATENCY, FIRST_TOKEN, COST),
            required=name in required,
            guess=GUESS.get(name, 0.1),
            tolerance=tolerances.get(name, 1.0),
            floor=fast_seconds if name in (LATENCY, FIRST_TOKEN) else 0.0,
        )
        for name in ALPHA
    }


ALPHA = {ERRORS: 0.032, LATENCY: 0.006, FIRST_TOKEN: 0.003, COST: 0.002, QUALITY: 0.005}
"""With 0.002 of the sample ratio they add up to 0.05."""
MARGIN = {ERRORS: 0.02, LATENCY: 1.25, FIRST_TOKEN: 1.25, COST: 1.25, QUALITY: 0.05}
TOLERANCE = {LATENCY: 1.1, FIRST_TOKEN: 1.1, COST: 1.1}
GUESS = {ERRORS: 0.02, QUALITY: 0.3}


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared and what it takes. `failures_in_a_row` of the candidate end it at once while the control answers."""

    measures: Mapping[str, Measure]
    ratio_alpha: float = 0.002
    safe_alpha: float = 0.05
    failures_in_a_row: int = 8


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one question. `left` is a caller who went away: nothing is known of an answer.

    Seconds, and dollars; None where it was not measured.
    """

    candidate: bool
    failed: bool = False
    left: bool = False
    latency: float | None = None
    first_token: float | None = None
    cost: float | None = None


class Finding(enum.StrEnum):
    """What the evidence comes to so far."""

    BROKEN = "broken"
    HARM = "harm"
    MISMATCH = "mismatch"
    SAFE = "safe"
    OPEN = "open"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A finding in a sentence, with the measure and the e-value that led to it."""

    finding: Finding
    message: str
    measure: str = ""
    e_value: float = 1.0


class Analysis(msgspec.Struct, kw_only=True):
    """All evidence of one canary. Plain data: it can be stored, read back and merged with that of other processes."""

    comparisons: dict[str, Comparison]
    left: Comparison
    proportion: Proportion
    control: int = 0
    candidate: int = 0
    in_a_row: int = 0
    control_failing: float = 0.0

    @classmethod
    def of(cls, rules: Rules) -> Analysis:
        """Nothing was seen."""
        return cls(
            comparisons={name: Comparison.of(measure) for name, measure in rules.measures.items()},
            left=Comparison.of(_left(rules)),
            proportion=Proportion(),
        )

    def assigned(self, cell: int, share: float, *, candidate: bool) -> None:
        """A key was given to a side that takes this share (0 to 1) of keys; `cell` is its place among CELLS."""
        self.proportion.take(cell, share, candidate=candidate)

    def observe(self, rules: Rules, seen: Observation) -> bool:
        """What became of a question; True when there may be something new to judge."""
        new = self.left.take(_left(rules), float(seen.left), candidate=seen.candidate)
        if seen.left:
            return new
        self._count(seen)
        values = {
            ERRORS: float(seen.failed),
            LATENCY: seen.latency,
            FIRST_TOKEN: seen.first_token,
            COST: seen.cost,
        }
        for name, value in values.items():
            if value is not None:
                new |= self.took(rules, name, value, candidate=seen.candidate)
        return new or seen.failed

    def took(self, rules: Rules, name: str, value: float, *, candidate: bool) -> bool:
        """One value of a measure (of quality, what it lacks of 1); True when there may be something new to judge."""
        measure = rules.measures.get(name)
        return measure is not None and self.comparisons[name].take(measure, value, candidate=candidate)

    def judge(self, rules: Rules) -> Judgement:
        """What all of it comes to. Costs nothing that grows with what was seen."""
        if self._is_broken(rules):
            message = f"candidate failed {self.in_a_row} times in a row while the control answers"
            return Judgement(finding=Finding.BROKEN, message=message, measure=ERRORS)
        worst = max(rules.measures.values(), key=self._certainty)
        if self._certainty(worst) >= 0.0:
            return self._judged(Finding.HARM, worst, self.comparisons[worst.name].log_harm)
        mismatch = self._mismatch(rules)
        if mismatch:
            return Judgement(finding=Finding.MISMATCH, message=mismatch, measure="sample_ratio")
        required = [measure for measure in rules.measures.values() if measure.required]
        least = min(required, key=lambda of: self.comparisons[of.name].log_safe, default=None)
        if least is not None and self.comparisons[least.name].log_safe < -math.log(rules.safe_alpha):
            return self._judged(Finding.OPEN, least, self.comparisons[least.name].log_safe)
        if least is None:
            return Judgement(finding=Finding.SAFE, message="no measure is required")
        return self._judged(Finding.SAFE, least, self.comparisons[least.name].log_safe)

    def merge(self, rules: Rules, other: Analysis) -> None:
        """Take in what another process saw."""
        for name, measure in rules.measures.items():
            self.comparisons[name].merge(measure, other.comparisons[name])
        self.left.merge(_left(rules), other.left)
        self.proportion.merge(other.proportion)
        self.control += other.control
        self.candidate += other.candidate
        self.in_a_row = max(self.in_a_row, other.in_a_row)
        self.control_failing = max(self.control_failing, other.control_failing)

    def _count(self, seen: Observation) -> None:
        if seen.candidate:
            self.candidate += 1
            self.in_a_row = self.in_a_row + 1 if seen.failed else 0
        else:
            self.control += 1
            self.control_failing += (float(seen.failed) - self.control_failing) / LOOKS_BACK

    def _is_broken(self, rules: Rules) -> bool:
        """As a breaker judges; not while the control fails too: then it is not the candidate."""
        return self.in_a_row >= rules.failures_in_a_row and self.control_failing < CONTROL_SICK

    def _certainty(self, measure: Measure) -> float:
        return self.comparisons[measure.name].log_harm + math.log(measure.alpha)

    def _mismatch(self, rules: Rules) -> str:
        half = math.log(rules.ratio_alpha / 2.0)
        if self.proportion.log_e() + half >= 0.0:
            return self.proportion.told()
        if self.left.log_harm + half >= 0.0:
            gone = self.left
            return (
                f"callers leave before the candidate's answer {gone.candidate.mean:.1%} of the time, before the control's "
                f"{gone.control.mean:.1%}: what remains cannot be compared"
            )
        return ""

    def _judged(self, finding: Finding, measure: Measure, log_e: float) -> Judgement:
        message = contrast(measure, self.comparisons[measure.name])
        return Judgement(finding=finding, message=message, measure=measure.name, e_value=e_of(log_e))


def _left(rules: Rules) -> Measure:
    return Measure(name=LEFT, alpha=rules.ratio_alpha / 2.0, margin=0.05, guess=0.02)


def e_of(log_e: float) -> float:
    """An e-value from its logarithm, without overflow."""
    return math.exp(min(log_e, 700.0))


VERBS = {LATENCY: "takes", FIRST_TOKEN: "takes", COST: "costs"}


def contrast(measure: Measure, of: Comparison) -> str:
    """Both sides in a few words: "candidate errs 4.1 % against 1.2 %"."""
    if not of.candidate.count or not of.control.count:
        return f"{measure.name} of both sides is not known yet"
    new, old = of.candidate.mean, of.control.mean
    match measure.name:
        case "errors":
            return f"candidate errs {new * 100:.1f} % against {old * 100:.1f} %"
        case "quality":
            return f"candidate's quality is {1 - new:.3f} against {1 - old:.3f}"
        case "cost":
            return f"candidate costs ${math.exp(new):.6f} an answer against ${math.exp(old):.6f}"
        case "first_token":
            return f"candidate takes {_seconds(new)} to its first word against {_seconds(old)}"
        case _:
            return f"candidate takes {_seconds(new)} against {_seconds(old)}"


def _seconds(logarithm: float) -> str:
    seconds = math.exp(logarithm)
    return f"{seconds:.2f} s" if seconds >= 1.0 else f"{seconds * 1000:.0f} ms"


def table(rules: Rules, of: Analysis) -> list[dict[str, float | int | str | bool | None]]:
    """One row a measure: both sides, the interval of their difference, both e-values and what each must reach.

    A ratio is shown as its geometric mean, its difference as a factor; quality as quality.
    """
    return [_row(rules, measure, of.comparisons[name]) for name, measure in rules.measures.items()]


def _row(rules: Rules, measure: Measure, of: Comparison) -> dict[str, float | int | str | bool | None]:
    bounds = interval(measure, of)
    low, high = (None, None) if bounds is None else bounds
    return {
        "measure": measure.name,
        "control": _shown(measure, of.control.mean) if of.control.count else None,
        "candidate": _shown(measure, of.candidate.mean) if of.candidate.count else None,
        "control_count": of.control.count,
        "candidate_count": of.candidate.count,
        "harm_low": _difference(measure, low),
        "harm_high": _difference(measure, high),
        "harm_e": e_of(of.log_harm),
        "harm_needed": 1.0 / measure.alpha,
        "safe_e": e_of(of.log_safe),
        "safe_needed": 1.0 / rules.safe_alpha,
        "margin": measure.margin,
        "required": measure.required,
        "unusable": of.unusable,
    }


def _shown(measure: Measure, mean: float) -> float:
    if measure.ratio:
        return math.exp(mean)
    return 1.0 - mean if measure.name == QUALITY else mean


def _difference(measure: Measure, value: float | None) -> float | None:
    return math.exp(max(-700.0, min(value, 700.0))) if measure.ratio and value is not None else value
