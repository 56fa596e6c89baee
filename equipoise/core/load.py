"""How busy and how fast one backend is: attempts in flight and latency, told apart from the length of answers.

An LLM's duration is mostly the length of its answer (correlation 0.85-0.99 on real calls), so two averages are kept:
seconds to the first token and seconds per output token. Raw duration feeds only the peak-EWMA of Finagle, which rises
at once and decays slowly.
"""

from __future__ import annotations

import math

from equipoise.core.recent import Recent

DECAY_SECONDS = 30.0
PRIOR_TOKENS = 250
PRIOR_FIRST_TOKEN_SHARE = 0.3
PRIOR_SAMPLES = 3.0


class Average:
    """An exponential moving average that begins at a prior worth a few samples."""

    __slots__ = ("samples", "value")

    def __init__(self, prior: float) -> None:
        self.value, self.samples = prior, PRIOR_SAMPLES

    def add(self, sample: float, memory: float = 20.0) -> None:
        """Take in a sample; about `memory` of them are remembered."""
        samples = self.samples + 1.0
        self.samples = samples = samples if samples < memory else memory
        self.value += (sample - self.value) / samples


class Load:
    """Attempts in flight and expected times of one backend, in seconds.

    `peak` times (in flight + 1) is the load of Finagle's balancer; `usual_tokens` the usual length of an answer;
    `durations` and, once `watch` was called, `first_tokens` know their quantiles.
    """

    __slots__ = (
        "_peak_at",
        "durations",
        "first_token",
        "first_tokens",
        "in_flight",
        "output_tokens",
        "peak",
        "response_time",
        "seconds_per_token",
        "usual_tokens",
    )

    def __init__(self, expected_seconds: float) -> None:
        self.in_flight = 0
        self.first_token = Average(expected_seconds * PRIOR_FIRST_TOKEN_SHARE)
        self.seconds_per_token = Average(expected_seconds * (1.0 - PRIOR_FIRST_TOKEN_SHARE) / PRIOR_TOKENS)
        self.output_tokens = Average(PRIOR_TOKENS)
        self.usual_tokens = PRIOR_TOKENS
        self.response_time = Average(expected_seconds)
        self.peak = expected_seconds
        self._peak_at = 0.0
        self.durations = Recent()
        self.first_tokens: Recent | None = None

    def completed(self, duration: float, first_token: float | None, tokens: int, now: float) -> None:
        """Learn from an answer of `tokens` output tokens; `first_token` is None where it could not be seen."""
        self.response_time.add(duration)
        if duration >= self.peak:
            self.peak = duration
        else:
            kept = math.exp(-(now - self._peak_at) / DECAY_SECONDS)
            self.peak = self.peak * kept + duration * (1.0 - kept)
        self._peak_at = now
        self.durations.add(duration, now)
        if first_token is not None:
            self.first_token.add(first_token)
            if self.first_tokens is not None:
                self.first_tokens.add(first_token, now)
        if tokens > 0:
            head = self.first_token.value if first_token is None else first_token
            if first_token is None and duration < head:
                head = duration
            self.seconds_per_token.add((duration - head) / tokens)
            self.output_tokens.add(float(tokens))
            self.usual_tokens = int(self.output_tokens.value)

    def watch(self) -> Recent:
        """The waits for first tokens from now on; only hedging asks for them."""
        if self.first_tokens is None:
            self.first_tokens = Recent()
        return self.first_tokens

    def expected_tokens(self, most: int) -> int:
        """The usual length of an answer, cut where the caller cuts (0: he does not)."""
        return most if 0 < most < self.usual_tokens else self.usual_tokens
