"""Gathers the evidence about two sides, keeps it where it outlives the process, and tells when there is something to judge.

Each process keeps its own part and reads the others': their merged evidence is one analysis of all processes that share a
state directory. What was gathered before a restart is the part of a process that is no more.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import msgspec

from equipoise.canary.evidence import is_evidence
from equipoise.core.attempts import Unanswered
from equipoise.core.canary import CELLS, FIRST_TOKEN, QUALITY, Analysis, Judgement, Observation, Rules, table
from equipoise.core.events import AnswerScored, AttemptEnded, Event, hears
from equipoise.core.model import NANO_PER_USD, CostSource, Verdict
from equipoise.core.rollout import CANDIDATE, CONTROL, SHADOW, position
from equipoise.reply import Reply
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import SharedState
from equipoise.stream import AnswerStream

MERGED_EVERY = 0.1
"""Seconds between two looks at evidence that has to be merged for each; who keeps the watch looks twice a second anyway."""
SIDES = {CONTROL: False, CANDIDATE: True, SHADOW: True}


class Watch:
    """The evidence of one comparison after the other, each an era. `on_news` is called, in the same breath, when what was
    seen may change the judgement. Hears of scores and first words as an observer of the balancer.
    """

    def __init__(self, rules: Rules, store: SharedState, topic: str, on_news: Callable[[], None]) -> None:
        self.rules, self.era, self.copies = rules, -1, False
        self._store, self._prefix, self._on_news = store, f"{topic}.evidence.", on_news
        self._process = secrets.token_hex(4)
        self._own = Analysis.of(rules)
        self._others: Analysis | None = None
        self._new, self._looked = False, 0.0

    def begin(self, era: int) -> None:
        """Compare anew, or, after a restart, go on with what was gathered of this era. Blocks for a moment."""
        if era == self.era:
            return
        self.era, self._new = era, False
        self._own, self._others = Analysis.of(self.rules), self._stored()
        if self._others is not None:
            self._own.proportion.seen[:] = self._others.proportion.seen  # these keys were counted already

    @property
    def all(self) -> Analysis:
        """The evidence of all processes."""
        if self._others is None:
            return self._own
        merged = msgspec.convert(msgspec.to_builtins(self._others), Analysis)
        merged.merge(self.rules, self._own)
        return merged

    @property
    def candidates(self) -> int:
        """How many of the candidate's questions were seen, by all."""
        return self._own.candidate + (self._others.candidate if self._others is not None else 0)

    def judged(self) -> Judgement:
        """What it all comes to now."""
        return self.all.judge(self.rules)

    def table(self) -> list[dict[str, Any]]:
        """One row a measure."""
        return list(table(self.rules, self.all))

    def assigned(self, key: str, percentage: float, *, candidate: bool) -> None:
        """A question went to a side because of its key."""
        cell = int(position(key, "cells") * (CELLS / 100.0))
        self._own.assigned(cell, percentage / 100.0, candidate=candidate)

    def answered(self, role: str, reply: Reply) -> None:
        """A question of a side was answered."""
        priced = reply.cost_source is not CostSource.UNPRICED and reply.cost > 0
        cost = reply.cost / NANO_PER_USD if priced else None
        self._see(role, latency=reply.duration, cost=cost)

    def unanswered(self, role: str, error: Unanswered) -> None:
        """A question of a side was not answered; some ends say nothing about the side."""
        if is_evidence(role, error):
            self.failed(role)

    def failed(self, role: str) -> None:
        """A question of a side got no answer, or half of one."""
        self._see(role, failed=True)

    def left(self, role: str) -> None:
        """A caller went away before the end."""
        self._see(role, left=True)

    def streamed(self, role: str, stream: AnswerStream) -> None:
        """A stream of a side is over: whole, cut, or left by its caller."""
        if stream.reply is not None:
            self.answered(role, stream.reply)
        elif stream.attempts[-1].verdict is Verdict.IGNORED:
            self.left(role)
        else:
            self.failed(role)

    @hears(AttemptEnded, AnswerScored)
    def observe(self, event: Event) -> None:
        """Hear of first words and of scores."""
        if type(event) is AttemptEnded:
            attempt = event.attempt
            first = attempt.outcome.first_token
            if first is not None and attempt.outcome.verdict is Verdict.SUCCESS:
                self._measure(attempt.role, FIRST_TOKEN, first)
        elif type(event) is AnswerScored:
            self._measure(event.role, QUALITY, 1.0 - event.quality)

    async def sync(self) -> None:
        """Write what is new, and read what others wrote. Raises StoreError; nothing is lost by it."""
        era, name = self.era, f"{self._prefix}{self.era}.{self._process}"
        if self._new:
            self._new = False
            try:
                await asyncio.to_thread(self._store.keep, name, msgspec.to_builtins(self._own))
            except StoreError:
                self._new = True
                raise
        others = await asyncio.to_thread(self._stored)
        if era == self.era:
            self._others = others

    def forget_earlier(self) -> None:
        """Remove what was gathered in other eras. Blocks for a moment; raises StoreError."""
        self._store.forget(self._prefix, f"{self.era}.")

    def _see(self, role: str, **seen: Any) -> None:
        candidate = self._side(role)
        if candidate is not None:
            self._tell(self._own.observe(self.rules, Observation(candidate=candidate, **seen)))

    def _measure(self, role: str, name: str, value: float) -> None:
        candidate = self._side(role)
        if candidate is not None:
            self._tell(self._own.took(self.rules, name, value, candidate=candidate))

    def _side(self, role: str) -> bool | None:
        """Is it the candidate's? None for what is no evidence: copies count while copies are compared only."""
        return None if role == SHADOW and not self.copies else SIDES.get(role)

    def _tell(self, news: bool) -> None:
        self._new = True
        now = time.monotonic()
        if news and (self._others is None or now - self._looked >= MERGED_EVERY):
            self._looked = now
            self._on_news()

    def _stored(self) -> Analysis | None:
        """The merged parts of everybody else in this era; parts of other rules than ours are no evidence."""
        parts = self._store.kept(f"{self._prefix}{self.era}.")
        merged: Analysis | None = None
        for name in sorted(parts.keys() - {self._process}):
            part = _read(parts[name])
            if part is None or part.comparisons.keys() != self.rules.measures.keys():
                continue
            if merged is None:
                merged = part
                continue
            for index, byte in enumerate(part.proportion.seen):
                merged.proportion.seen[index] |= byte
            merged.merge(self.rules, part)
        return merged


def _read(value: dict[str, Any]) -> Analysis | None:
    """An analysis as it was kept; None for one of another version of this program."""
    try:
        return msgspec.convert(value, Analysis)
    except msgspec.ValidationError:
        return None
