"""Limits of one backend: how many attempts at once, how many and how many tokens in a minute."""

from __future__ import annotations

import math
from collections import deque
from typing import TypeAlias

MINUTE = 60.0
HEAD_TOKENS = 20
"""What an answer's beginning counts for, in tokens: else every short answer would look slow."""
MEAN_OF = 4
STEP, OTHERS, EARLY = 0.001, 4.0, 50.0
"""Steps, up and four times as far down, to the pace that one in five keeps; the first fifty are larger."""
SLOWER, CROWDED, SHRINK, DRIFT = 1.95, 2.5, 0.9, 1.001
BINDING_SECONDS = 60.0
START = 16.0
MOST = 10_000.0


class AdaptiveCap:
    """How many attempts at once are let through to a backend that has shown that it can have too much.

    AIMD: one more per full round of answers while it keeps its best pace, a tenth less with each answer while the mean of
    the last four is at less than two fifths of it. Means are compared with the best mean: beside the best single answer,
    mere chance would look like overload. (bench/limits compares it with Gradient2, Vegas and others.) It binds for a minute
    after a throttle or a timeout. Slowness alone keeps nobody waiting: where it has another cause than the crowd, turning
    questions away would make it an outage.
    """

    __slots__ = ("_answers", "_best", "_pace", "_shrunk_at", "binding_until", "value")

    def __init__(self, start: float = START) -> None:
        self.value = start
        self._pace, self._best, self._answers = 0.0, math.inf, 0
        self._shrunk_at = self.binding_until = -math.inf

    def at(self, now: float) -> float:
        """Attempts at once that are let through now; infinite while it does not bind."""
        return math.ceil(self.value) if now < self.binding_until else math.inf

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        """Adapt to an answer of so many tokens, given while so many were in flight."""
        if self._answers < MEAN_OF:
            self._answers += 1
        self._pace = pace = self._pace + (duration / (tokens + HEAD_TOKENS) - self._pace) / self._answers
        drifted = self._best * DRIFT
        self._best = best = drifted if drifted < pace else pace
        value = self.value
        if 2 * in_flight < value:
            return
        if pace > CROWDED * best:
            self.value = max(1.0, value * SHRINK)
        elif value < MOST:
            more = value + 1.0 / value
            self.value = more if more < MOST else MOST

    def overloaded(self, began: float, now: float) -> None:
        """An attempt begun then was throttled or timed out: a tenth less, once for all that were under way together."""
        self.binding_until = now + BINDING_SECONDS
        if began >= self._shrunk_at:
            self.value, self._shrunk_at = max(1.0, self.value * SHRINK), now


class ConcurrencyLimit:
    """How many attempts at once a backend takes: `value` marks it as hot, `cap` holds back what is beyond.

    The mark is AIMD too, but on single answers beside a good one, the pace that one in five keeps: it is early where the
    cap is sure, for it only turns a strategy's eyes to others. (Beside the best one it went down to two or three where
    answers vary by chance.) `maximum` is a hard cap when the operator set one. Until `binding_until` there is a cap at all:
    asked before it is computed, for each backend of each decision.
    """

    __slots__ = ("_answers", "_good", "adaptive", "binding_until", "maximum", "value")

    def __init__(self, maximum: int | None, start: float = START) -> None:
        self.maximum = maximum
        self.value = float(min(start, maximum or start))
        self.adaptive = AdaptiveCap(START)
        self.binding_until = -math.inf if maximum is None else math.inf
        self._good, self._answers = 0.0, 0

    def cap(self, now: float) -> float:
        """Attempts at once that are let through now."""
        learned = self.adaptive.at(now)
        return learned if self.maximum is None else min(learned, self.maximum)

    def answered(self, duration: float, tokens: int, in_flight: int) -> None:
        """Adapt to an answer of so many tokens, given while so many were in flight; without tokens it tells nothing."""
        if tokens <= 0 or duration <= 0.0:
            return
        self.adaptive.answered(duration, tokens, in_flight)
        pace = duration / tokens
        # A quantile by stochastic approximation: a minimum would follow the luckiest answer.
        self._answers = answers = self._answers + 1
        step = STEP * (EARLY / answers) if answers < EARLY else STEP
        good = self._good or pace
        self._good = good * (1.0 + step if pace > self._good else 1.0 - OTHERS * step)
        if 2 * in_flight < self.value:
            return
        if pace > SLOWER * self._good:
            self.value = max(1.0, self.value * SHRINK)
        else:
            more, most = self.value + 1.0 / self.value, self.maximum or MOST
            self.value = more if more < most else float(most)

    def overloaded(self, began: float, now: float) -> None:
        """An attempt begun then was throttled or timed out."""
        self.value = max(1.0, self.value * SHRINK)
        self.adaptive.overloaded(began, now)
        self.binding_until = max(self.binding_until, self.adaptive.binding_until)


class RateLimit:
    """At most `per_minute` admissions in any 60 seconds, exactly: their `times` are kept for as long as they count.

    `share` of them may be had here, the rest elsewhere; `places` are those of the share that are not used up. While there
    are fewer times than places one more is allowed for sure, whatever the time is.
    """

    __slots__ = ("_back_at", "per_minute", "places", "share", "times")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = self.share = self.places = per_minute
        self.times: deque[float] = deque()
        self._back_at = 0.0

    def seconds_until_free(self, now: float) -> float:
        """0 when one more is allowed now, otherwise how long to wait."""
        if len(self.times) < self.places:
            return 0.0
        if self.places != self.share:
            self._let_come_back(now)
            return 0.0 if len(self.times) < self.places else self._wait(now)
        return self._wait(now)

    def _wait(self, now: float) -> float:
        first = self.times[0] + MINUTE if self.times else math.inf
        back = self._back_at if self.places != self.share else math.inf
        return max(0.0, min(first, back, now + MINUTE) - now)

    def take(self, now: float) -> None:
        """Count one admission; ask `seconds_until_free` first."""
        times = self.times
        times.append(now)
        while times[0] + MINUTE <= now or len(times) > (self.places if self.places > 0 else 1):
            times.popleft()

    def spare(self, now: float) -> int:
        """Admissions of the share that are free."""
        self._let_come_back(now)
        return self.places - sum(at > now - MINUTE for at in self.times)

    def resize(self, share: int, now: float) -> None:
        """Hold so many from now on; those that are taken away were free."""
        self.places += share - self.share
        self.share = share
        while len(self.times) > self.places:
            self.times.popleft()

    def use_up(self, now: float) -> None:
        """Take it that all of the share was used just now."""
        self.places, self._back_at = 0, now + MINUTE
        self.times.clear()

    def _let_come_back(self, now: float) -> None:
        if now >= self._back_at:
            self.places = self.share


Taken: TypeAlias = list[float]
"""When tokens were taken, and how many: corrected once it is known."""


class TokenLimit:
    """At most `per_minute` tokens in any 60 seconds: what an attempt may use is taken before, and corrected after.

    Exact as long as no attempt uses more than was taken for it; one that does makes the next ones wait for it.
    `share` of the tokens may be had here, the rest elsewhere.
    """

    __slots__ = ("_sum", "_taken", "per_minute", "share")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = self.share = per_minute
        self._taken: deque[Taken] = deque()
        self._sum = 0.0

    def seconds_until_free(self, tokens: float, now: float) -> float:
        """0 when so many more are allowed now, otherwise how long to wait; infinite for more than a whole minute's."""
        self._let_go(now)
        too_many = self._sum + tokens - self.share
        if too_many <= 0:
            return 0.0
        for at, taken in self._taken:
            too_many -= taken
            if too_many <= 0:
                return at + MINUTE - now
        return math.inf if tokens > self.per_minute else MINUTE

    def spare(self, now: float) -> int:
        """Tokens of the share that are free."""
        self._let_go(now)
        return max(0, int(self.share - self._sum))

    def resize(self, share: int, now: float) -> None:
        """Hold so many from now on; those that are taken away were free."""
        self.share = share

    def use_up(self, now: float) -> None:
        """Take it that all of the share was used just now."""
        self.take(self.spare(now), now)

    def take(self, tokens: float, now: float) -> Taken:
        """Count so many tokens; give what is returned back to `correct`."""
        taken = [now, float(tokens)]
        self._taken.append(taken)
        self._sum += tokens
        return taken

    def correct(self, taken: Taken, tokens: float) -> None:
        """So many it were in truth."""
        if self._taken and taken[0] >= self._taken[0][0]:
            self._sum += tokens - taken[1]
            taken[1] = float(tokens)

    def _let_go(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - MINUTE:
            self._sum -= self._taken.popleft()[1]
