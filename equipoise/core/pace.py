"""How long an answer took beside what is usual here for its length; 1.0 is as usual, 3.0 three times as long.

An answer's duration is mostly its length, so what is usual is a line: seconds = head + tokens * per_token, fitted by
least squares with fading memory. It needs no first token, which an answer that is not streamed does not show.
"""

from __future__ import annotations

from collections import deque

FADING = 0.995
WARM, EVERY = 10, 8
"""Answers before anything is called unusual."""
MOST_BELIEVED = 2.0
"""A long wait moves what is usual no more than one of twice the usual: a bad hour must not become the norm at once."""


class Usual:
    """The usual of a number: its mean with the fading memory of the line."""

    __slots__ = ("_samples", "_value")

    def __init__(self) -> None:
        self._samples, self._value = 0, 0.0

    def add(self, seen: float) -> float | None:
        """Take in a number; returns what was usual before it, None while it is too early to say."""
        usual = self._value
        if self._samples < WARM:
            self._samples += 1
            self._value += (seen - usual) / self._samples
            return None
        most = MOST_BELIEVED * usual
        self._value += ((most if seen > most else seen) - usual) * (1.0 - FADING)
        return usual


class Line:
    """A straight line through the points seen, the latest some two hundred of them; fitted anew with every eighth.

    Its height at x is `base + slope * x`; neither is ever negative.
    """

    __slots__ = ("_n", "_x", "_xx", "_xy", "_y", "base", "samples", "slope")

    def __init__(self) -> None:
        self.samples = 0
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        self.base = self.slope = 0.0

    def add(self, x: float, y: float) -> None:
        """Take in a point."""
        self.samples += 1
        self._n = self._n * FADING + 1.0
        self._x = self._x * FADING + x
        self._y = self._y * FADING + y
        if x:
            self._xx = self._xx * FADING + x * x
            self._xy = self._xy * FADING + x * y
        if self.samples <= WARM or self.samples % EVERY == 0:
            self._fit()

    def _fit(self) -> None:
        n, mean_x, mean_y = self._n, self._x / self._n, self._y / self._n
        spread = self._xx / n - mean_x * mean_x
        slope = (self._xy / n - mean_x * mean_y) / spread if spread > 1.0 else 0.0
        self.slope = max(0.0, min(slope, mean_y / mean_x if mean_x else 0.0))
        self.base = mean_y - self.slope * mean_x


class Pace:
    """The pace of one backend's answers; `floor` seconds are never slow, whatever is usual."""

    __slots__ = ("_floor", "_recent", "_wait", "_whole")

    def __init__(self, floor: float) -> None:
        self._floor = max(floor, 1e-6)
        self._whole, self._wait = Line(), Usual()
        self._recent: deque[tuple[float, float | None, int]] = deque(maxlen=WARM)

    def answered(self, duration: float, first_token: float | None, tokens: int) -> float:
        """Take in an answer; returns how many times the usual it took, never above 1 within `floor`.

        That is of the wait for the first token where it was seen (a client that reads slowly cannot lengthen it), else of
        the whole answer.
        """
        self._recent.append((duration, first_token, tokens))
        if first_token is not None:
            usual, floor = self._wait.add(first_token) or first_token, self._floor
            return first_token / (usual if usual > floor else floor)
        whole = self._whole
        usual = whole.base + whole.slope * tokens
        if whole.samples < WARM:
            whole.add(tokens, duration)
            return 1.0
        most, floor = MOST_BELIEVED * usual, self._floor
        whole.add(tokens, duration if duration < most else most)
        return duration / (usual if usual > floor else floor)

    def accept(self) -> None:
        """Its last answers show what is usual from now on."""
        self._whole, self._wait = Line(), Usual()
        for duration, first_token, tokens in self._recent:
            if first_token is None:
                self._whole.add(tokens, duration)
            else:
                self._wait.add(first_token)
