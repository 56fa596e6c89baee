"""What several processes learned, together: sums add."""

from __future__ import annotations

import math

from equipoise.core.arms import STATE_VERSION, SavedArm, SavedKind, SavedLearner
from equipoise.core.evidence import Evidence, SavedEvidence, merged, revived
from equipoise.core.features import FEATURES_VERSION


def merge(first: SavedLearner, second: SavedLearner, memory: float) -> SavedLearner:
    """Return what two processes know together: sums add, so the order is no matter. Raises ValueError."""
    for saved in (first, second):
        check(saved)
    if first.size != second.size:
        raise ValueError(f"one learned from {first.size - 1} features, the other from {second.size - 1}")
    tick, attempts = max(first.tick, second.tick), max(first.attempts, second.attempts)
    lead = max(first, second, key=lambda of: (of.tick, of.compared.variance, of.compared.common))
    arms = {
        name: _both(first, second, name, (tick, attempts), memory) for name in sorted(first.arms.keys() | second.arms)
    }
    kinds = {kind: _sum(first.kinds.get(kind), second.kinds.get(kind)) for kind in first.kinds.keys() | second.kinds}
    return SavedLearner(STATE_VERSION, FEATURES_VERSION, first.size, tick, attempts, lead.compared, arms, kinds)


def _both(first: SavedLearner, second: SavedLearner, name: str, ticks: tuple[int, int], memory: float) -> SavedArm:
    """One backend's evidence of both, each as recent as it was to its own process."""
    arms = [(whole, whole.arms[name]) for whole in (first, second) if name in whole.arms]
    quality = _added([_aged(arm.quality, whole.tick, ticks[0], memory) for whole, arm in arms], memory)
    answering = _added([_aged(arm.answering, whole.attempts, ticks[1], memory) for whole, arm in arms], memory)
    spending = _added([_aged(arm.spending, whole.attempts, ticks[1], memory) for whole, arm in arms], memory)
    lead = max((arm for _, arm in arms), key=lambda arm: (arm.answers, arm.prior, arm.type))
    return SavedArm(
        quality.save(),
        answering.save(),
        spending.save(),
        lead.prior,
        lead.answers,
        lead.type,
        sum(arm.failures for _, arm in arms),
        sum(arm.billed for _, arm in arms),
        sum(arm.foreseen for _, arm in arms),
    )


def _aged(saved: SavedEvidence, now: int, tick: int, memory: float) -> Evidence:
    evidence = revived(saved)
    evidence.age_to(now, memory)
    evidence.tick = tick
    return evidence


def _added(parts: list[Evidence], memory: float) -> Evidence:
    return parts[0] if len(parts) == 1 else merged(parts[0], parts[1], memory)


def as_of(saved: SavedEvidence, tick: int) -> Evidence:
    evidence = revived(saved)
    evidence.tick = tick
    return evidence


def _sum(first: SavedKind | None, second: SavedKind | None) -> SavedKind:
    if first is None or second is None:
        return first or second or SavedKind(0, [])
    return SavedKind(first.count + second.count, [a + b for a, b in zip(first.features, second.features, strict=True)])


def check(saved: SavedLearner) -> None:
    if (saved.version, saved.features) != (STATE_VERSION, FEATURES_VERSION):
        raise ValueError(
            f"saved by version {saved.version} with features {saved.features}, "
            f"this is version {STATE_VERSION} with features {FEATURES_VERSION}"
        )
    if any(len(kind.features) != saved.size for kind in saved.kinds.values()):
        raise ValueError("saved kinds of question do not fit the features")
    of = saved.compared
    sound = 0.0 < of.variance < math.inf and 0.0 < of.ridge < math.inf and all(map(math.isfinite, of.common))
    if not sound or len(of.common) not in (0, saved.size):
        raise ValueError("what all backends say together does not fit")
