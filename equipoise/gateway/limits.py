"""Rates of keys: questions and tokens a minute, each kept evenly (GCRA) in this process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from equipoise.core.callers import Caller
from equipoise.core.events import AttemptEnded, Event, RequestEnded, hears
from equipoise.core.gcra import Rate
from equipoise.core.model import Request
from equipoise.core.sharing import Shared
from equipoise.gateway.headers import Fields
from equipoise.gateway.problems import Problem

REQUESTS, TOKENS = "requests", "tokens"
Lack: TypeAlias = tuple[str, int, int]
"""The name of a limit, all of it, and how much more is needed here."""


class Elsewhere(Protocol):
    """Other processes that hold shares of the same limits."""

    def attach(self, name: str, whole: int, limit: Shared) -> None:
        """This limit is used here: give it its share."""

    async def borrow(self, lacks: list[Lack]) -> bool:
        """Ask the others for what is missing; did any come?"""


class Allowance:
    """The rates of one key, as long as its limits are these."""

    __slots__ = ("key", "limits", "rates")

    def __init__(self, limits: tuple[int | None, int | None], key: str) -> None:
        self.limits, self.key = limits, key
        said = dict(zip((REQUESTS, TOKENS), limits, strict=True))
        self.rates = {unit: Rate(per_minute) for unit, per_minute in said.items() if per_minute}

    def attach(self, elsewhere: Elsewhere) -> None:
        """Share the rates with other processes."""
        for unit, rate in self.rates.items():
            elsewhere.attach(self._name(unit), rate.per_minute, rate)

    def lacks(self, request: Request, now: float) -> list[Lack]:
        """What is missing here for a question, of rates that are shared."""
        needed = {REQUESTS: 1, TOKENS: _tokens(request)}
        found = []
        for unit, rate in self.rates.items():
            lack = min(needed[unit], rate.per_minute) - rate.spare(now)
            if lack > 0 and rate.share < rate.per_minute:
                found.append((self._name(unit), rate.per_minute, lack))
        return found

    def _name(self, unit: str) -> str:
        return f"key {self.key}: {unit}"

    def take(self, tokens: int, now: float) -> tuple[str, float] | None:
        """Take one question and so many tokens; or nothing, and say which is short and for how many seconds."""
        requests, all_tokens = self.rates.get(REQUESTS), self.rates.get(TOKENS)
        if requests is not None and (wait := requests.take(1, now)) > 0:
            return REQUESTS, wait
        if all_tokens is not None and (wait := all_tokens.take(tokens, now)) > 0:
            if requests is not None:
                requests.correct(-1, now)
            return TOKENS, wait
        return None


@dataclass(slots=True)
class Taken:
    """What a question under way took from the rate of its key, and what its attempts have used so far."""

    key: str
    tokens: int
    used: int = 0


class Allowances:
    """Admits questions by the rates of their keys, and settles the tokens they took when they are over.

    Tell it of every event (`observe`): what an attempt really took replaces the estimate. Times are monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.elsewhere: Elsewhere | None = None
        """The other processes among whom the rates are shared out."""
        self.known: dict[str, Allowance] = {}
        """By key, what is left of its rates; only keys that have any."""
        self._open: dict[str, Taken] = {}

    async def admitted(self, caller: Caller, request: Request) -> None:
        """Let a question through, with what other processes have to spare if need be. Raises Problem 429."""
        try:
            self.admit(caller, request)
        except Problem:
            known = self.known[caller.key]
            if self.elsewhere is None or not await self.elsewhere.borrow(known.lacks(request, self._clock())):
                raise
            self.admit(caller, request)

    def admit(self, caller: Caller, request: Request) -> None:
        """Let a question through, or raise Problem 429 with when to come again; nobody without limits is looked at."""
        if not caller.limited:
            return
        limits = caller.requests_per_minute, caller.tokens_per_minute
        allowance = self.known.get(caller.key)
        if allowance is None or allowance.limits != limits:
            allowance = self.known[caller.key] = Allowance(limits, caller.key)
            if self.elsewhere is not None:
                allowance.attach(self.elsewhere)
        tokens = _tokens(request)
        short = allowance.take(tokens, self._clock())
        if short is not None:
            raise self._refusal(caller.key, allowance, *short)
        self._open[request.id] = Taken(caller.key, tokens)

    @hears(AttemptEnded, RequestEnded)
    def observe(self, event: Event) -> None:
        """An attempt's tokens are counted, a question's are settled when it is over."""
        if not self._open:
            return
        if type(event) is AttemptEnded:
            taken = self._open.get(event.attempt.request_id)
            if taken is not None:
                usage = event.attempt.outcome.usage
                taken.used += usage.input_tokens + usage.output_tokens
        elif type(event) is RequestEnded and event.request_id in self._open:
            self._settle(self._open.pop(event.request_id))

    def fields(self, key: str) -> Fields:
        """OpenAI's headers: how much a minute, what is left at this moment, when it is whole again."""
        allowance = self.known.get(key)
        if allowance is None:
            return []
        found: Fields = []
        now = self._clock()
        for unit, rate in allowance.rates.items():
            name = unit.encode()
            found.append((b"x-ratelimit-limit-" + name, b"%d" % rate.per_minute))
            found.append((b"x-ratelimit-remaining-" + name, b"%d" % rate.remaining(now)))
            found.append((b"x-ratelimit-reset-" + name, duration(rate.seconds_until_full(now))))
        return found

    def _settle(self, taken: Taken) -> None:
        rate = self.known[taken.key].rates.get(TOKENS)
        if rate is not None:
            rate.correct(taken.used - taken.tokens, self._clock())

    def _refusal(self, key: str, allowance: Allowance, unit: str, wait: float) -> Problem:
        message = f"This key may use {allowance.rates[unit].per_minute} {unit} a minute; come again in {wait:.3f} s."
        headers = tuple(self.fields(key))
        return Problem(429, "rate_limit_exceeded", message, retry_after=wait, should_retry=True, headers=headers)


def _tokens(request: Request) -> int:
    """What a question may use: what it says, and the most that is to be written of all its answers."""
    return request.input_tokens + request.answers * request.output_tokens


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: 12ms, 1.5s, 6m0s."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    minutes, rest = divmod(round(seconds, 3), 60)
    return (f"{minutes:.0f}m" if minutes else "").encode() + f"{rest:.6g}s".encode()
