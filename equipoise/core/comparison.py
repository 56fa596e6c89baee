"""One measure on two sides: what was seen of each, and two bets, that the candidate is worse and that it is not.

A share (errors, shortfall of quality) lies in [0, 1] and is compared by its mean. A ratio (seconds, money) is compared by
its logarithm, placed on the scale of the control's past by a logistic curve: any increasing curve that was fixed before
the block keeps the bet fair, and this one makes a single monstrous value weigh no more than a slow one.
"""

from __future__ import annotations

import math

import msgspec

from equipoise.core.betting import Block, Level, Wager

CANDIDATE, CONTROL = True, False
WARM_UP = 16
"""Values of the control before anything is bet on a ratio: a scale is needed."""
STEEPNESS = 1.702
"""Makes the logistic curve look like the normal distribution's (Haley 1952), so that placed values are nearly uniform."""
NARROWEST = 1e-3
RAREST = 1e-4


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared and how strictly.

    `alpha` is the chance that a candidate that is no worse is ever found worse by this measure. `margin` is the harm
    that is still acceptable for promotion: a difference for a share, a factor for a ratio. `guess` is about where a share
    lies. A ratio within the factor `tolerance` is no harm to roll back for, and values below `floor` are all alike.
    """

    name: str
    alpha: float
    margin: float
    ratio: bool = False
    required: bool = False
    guess: float = 0.1
    tolerance: float = 1.0
    floor: float = 0.0


class Moments(msgspec.Struct):
    """Count, mean and sum of squared deviations (Welford); two of them add up exactly (Chan, Golub and LeVeque)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def take(self, value: float) -> None:
        """One more value."""
        self.count += 1
        step = value - self.mean
        self.mean += step / self.count
        self.squares += step * (value - self.mean)

    def merge(self, other: Moments) -> None:
        """All values of another."""
        count = self.count + other.count
        if other.count:
            step = other.mean - self.mean
            self.mean += step * other.count / count
            self.squares += other.squares + step * step * self.count * other.count / count
        self.count = count

    @property
    def variance(self) -> float:
        """Of the values; 0 below two."""
        return self.squares / (self.count - 1) if self.count > 1 else 0.0


GUESSED = 20.0
PLACED = 0.5


class Comparison(msgspec.Struct, kw_only=True):
    """The evidence of one measure. `log_harm` and `log_safe` are the logarithms of both e-values now."""

    block: Block
    harm: Wager
    safe: Wager
    level: Level
    shifted: Level
    place: Level
    spread: Level
    control: Moments
    candidate: Moments
    unusable: int = 0
    log_harm: float = 0.0
    log_safe: float = 0.0

    @classmethod
    def of(cls, measure: Measure) -> Comparison:
        """Nothing was seen."""
        level, shifted = _guesses(measure)
        return cls(
            block=Block.fresh(),
            harm=Wager.fresh(),
            safe=Wager.fresh(),
            level=level,
            shifted=shifted,
            place=Level(0.0, 0.0),
            spread=Level(0.0, 0.0),
            control=Moments(),
            candidate=Moments(),
        )

    def take(self, measure: Measure, value: float, *, candidate: bool) -> bool:
        """One value; True when a block ended with it. What is no number of the measure's kind is counted and left out."""
        if not _usable(measure, value):
            self.unusable += 1
            return False
        (self.candidate if candidate else self.control).take(math.log(value) if measure.ratio else value)
        number = math.log(max(value, measure.floor)) if measure.ratio else value
        if not self.block.take(number, candidate=candidate):
            return False
        self._bet(measure)
        self.block.clear()
        return True

    def merge(self, measure: Measure, other: Comparison) -> None:
        """Take in the evidence of another process; values in its open block stay there."""
        level, shifted = _guesses(measure)
        self.harm.merge(other.harm)
        self.safe.merge(other.safe)
        self.level.merge(other.level, level)
        self.shifted.merge(other.shifted, shifted)
        self.place.merge(other.place, Level(0.0, 0.0))
        self.spread.merge(other.spread, Level(0.0, 0.0))
        self.control.merge(other.control)
        self.candidate.merge(other.candidate)
        self.unusable += other.unusable
        self.log_harm, self.log_safe = self.harm.log_e(), self.safe.log_e()

    def _bet(self, measure: Measure) -> None:
        block = self.block
        if measure.ratio:
            if self.place.weight >= WARM_UP:
                control = [self._placed(x) for x in block.control]
                candidate, allowed = (
                    [self._placed(x - math.log(factor)) for x in block.candidate]
                    for factor in (measure.tolerance, measure.margin)
                )
                self._play(control, candidate, control, allowed)
            self._learn_scale(block.control)
        else:
            room = 1.0 + measure.margin
            lifted = [(x + measure.margin) / room for x in block.control]
            self._play(block.control, block.candidate, lifted, [x / room for x in block.candidate])

    def _play(self, control: list[float], candidate: list[float], lifted: list[float], allowed: list[float]) -> None:
        """Bet on harm, and on its absence against a control that was made worse by the margin."""
        self.harm.play(control, candidate, _believed(self.level), worse=True)
        self.safe.play(lifted, allowed, _believed(self.shifted), worse=False)
        for value in control:
            self.level.take(value)
        for value in lifted:
            self.shifted.take(value)
        self.log_harm, self.log_safe = self.harm.log_e(), self.safe.log_e()

    def _placed(self, x: float) -> float:
        width = max(math.sqrt(self.spread.mean), NARROWEST)
        z = STEEPNESS * (x - self.place.mean) / width
        return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))

    def _learn_scale(self, control: list[float]) -> None:
        for x in control:
            self.place.take(x)
            self.spread.take((x - self.place.mean) ** 2)


def _guesses(measure: Measure) -> tuple[Level, Level]:
    if measure.ratio:
        return Level(PLACED, GUESSED), Level(PLACED, GUESSED)
    shifted = (measure.guess + measure.margin) / (1.0 + measure.margin)
    return Level(measure.guess, GUESSED), Level(shifted, GUESSED)


def _believed(level: Level) -> float:
    return min(max(level.mean, RAREST), 1.0 - RAREST)


def _usable(measure: Measure, value: float) -> bool:
    if not math.isfinite(value):
        return False
    return value > 0.0 if measure.ratio else 0.0 <= value <= 1.0


def interval(measure: Measure, of: Comparison, alpha: float = 0.05) -> tuple[float, float] | None:
    """Where the difference (of a ratio: of its logarithm) lies, at all times together, with probability 1 - alpha.

    A confidence sequence of Robbins' normal mixture, narrowest for effects the size of the margin; it holds for many
    values only (the variance is estimated), so it is shown and decides nothing. None before there are two of each side.
    """
    if min(of.control.count, of.candidate.count) < 2:
        return None
    error = of.control.variance / of.control.count + of.candidate.variance / of.candidate.count
    if error <= 0.0:
        return None
    information, effect = 1.0 / error, math.log(measure.margin) if measure.ratio else measure.margin
    tuned = 1.0 / (effect * effect)
    radius = math.sqrt((information + tuned) * math.log((information + tuned) / (tuned * alpha * alpha))) / information
    middle = of.candidate.mean - of.control.mean
    return middle - radius, middle + radius
