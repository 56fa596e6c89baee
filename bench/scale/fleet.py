"""The gateways before their backends: questions come to any of them, and what becomes of each is counted."""

from __future__ import annotations

import gc
import math
import os
import random
import tempfile
from pathlib import Path

from bench.scale.exchange import AtOnce, Every, Never
from bench.scale.replica import Replica
from bench.scale.story import (
    BUDGET,
    METERED,
    METERED_SHARE,
    MOST_WRITTEN,
    PACES,
    READ,
    WRITTEN,
    Illness,
    Plan,
    Told,
    configured,
    name_of,
    pace_of,
)
from equipoise.core.accounting import answered, failed
from equipoise.core.budget import Refusal
from equipoise.core.model import Answer, Message, NoBackendAvailable, Question, Request, Usage, Verdict
from equipoise.core.selection import Lease
from equipoise.simulation.clock import VirtualClock
from equipoise.simulation.server import Result, Server
from equipoise.simulation.shapes import Shape
from equipoise.stores.sqlite_leases import SqliteLeases

SLOTS = 8
MOST_ATTEMPTS = 3
LOOK_SECONDS = 0.1
IN_MEMORY = "/dev/shm"
QUESTION = Question(messages=[Message("user", "")])
DRAWN = random.Random("answers")
SHAPES = {
    pace: Shape(
        measured=tuple(
            (0.3 * pace, 0.7 * pace * DRAWN.lognormvariate(-0.08, 0.4) / WRITTEN, WRITTEN) for _ in range(2000)
        )
    )
    for pace in PACES
}
"""Answers vary by 40 % about their pace; every story draws from the same ones."""


def play(plan: Plan) -> Told:
    """One story, its store in a folder that is removed: in memory, where the system has such a place."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None) as folder:
        fleet = Fleet(plan, Path(folder))
        gc.freeze()  # tens of thousands of backends need not be looked through again and again
        try:
            return fleet.play()
        finally:
            gc.unfreeze()


class Fleet:
    """All gateways of one plan before the same backends."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.clock, self.told = plan, VirtualClock(), Told(plan)
        self._coming, self._chance = random.Random(plan.seed), random.Random(plan.seed + 1)
        config = configured(plan)
        self.replicas = [Replica(f"g{n:02d}", config, self.clock, plan.seed) for n in range(plan.replicas)]
        self._store = SqliteLeases(folder / "leases.sqlite3")
        self._exchange = self._spoken(plan.every)
        names = map(name_of, range(plan.backends))
        self.servers = {name: Server(SHAPES[pace_of(name)], SLOTS, {}, self.clock, self._chance) for name in names}
        self._ill: dict[str, Illness] = {}
        self._count = 0

    def play(self) -> Told:
        """Let all come and go."""
        for replica in self.replicas:
            replica.budgets.known_scopes(backends=(), tenants=(METERED,), keys=())
        self._exchange.begin(self._chance)
        for at, backend_id in self.plan.illnesses():
            self.clock.at(at, lambda b=backend_id: self._fall_ill(b))  # type: ignore[misc]
        self.clock.at(LOOK_SECONDS, self._look)
        self.clock.at(0.0, self._come)
        until = self.plan.seconds + 10.0 * max(PACES)
        while self.clock.now < until and self.clock.step():
            pass
        self._store.close()
        return self.told

    def billed(self, request: Request, cost: int) -> None:
        """An upstream wants so much."""
        if request.tenant == METERED:
            self.told.spent += cost

    def met(self, backend_id: str) -> None:
        """An attempt has failed."""
        if backend_id in self._ill:
            self._ill[backend_id].failures += 1

    def _spoken(self, every: float | None) -> AtOnce | Every:
        if every is None:
            return AtOnce(self.replicas, self._store, self.clock)
        if math.isinf(every):
            return Never(self.replicas, self._store, self.clock)
        return Every(self.replicas, self._store, self.clock, every)

    def _fall_ill(self, backend_id: str) -> None:
        self.servers[backend_id].trouble = "failing"
        self._ill[backend_id] = Illness(backend_id, self.clock.now)
        self.told.illnesses.append(self._ill[backend_id])

    def _come(self) -> None:
        self._count += 1
        if self._count < self.plan.questions:
            self.clock.at(self.clock.now + self._coming.expovariate(self.plan.rate), self._come)
        metered = self._coming.random() < METERED_SHARE
        request = Request(
            id=str(self._count),
            question=QUESTION,
            input_tokens=READ,
            output_tokens=MOST_WRITTEN,
            deadline=self.clock.now + 60.0,
            tenant=METERED if metered else "free",
        )
        replica = self.replicas[int(self._coming.random() * len(self.replicas))]
        if metered and not self._fits(replica, request):
            self.told.refused += 1
        else:
            Asking(self, replica, request).ask()

    def _fits(self, replica: Replica, request: Request) -> bool:
        """All backends have one price: where the budget has no room for one of them it has none for any.

        As the product does, a question that lacks a slice has its gateway take a turn, where one can be had.
        """
        refusal = self._refusal(replica, request)
        if refusal is None or not refusal.short or not self._exchange.turned_for(replica):
            return refusal is None
        return self._refusal(replica, request) is None

    def _refusal(self, replica: Replica, request: Request) -> Refusal | None:
        budgets, wall = replica.budgets, self.clock.wall()
        first = replica.selection.backends[name_of(0)]
        return budgets.why_not(first, request, wall, lapsed=budgets.lapsed(wall, self.clock.now))

    def _look(self) -> None:
        """Now and then: whom do all shun by now, and how much lies in slices while there is a budget?"""
        for illness in self.told.illnesses:
            if illness.shunned_after is None and all(replica.shuns(illness.backend_id) for replica in self.replicas):
                illness.shunned_after = self.clock.now - illness.began
        if self.plan.settling < self.clock.now and self.told.left > self.plan.limit * 0.1:
            self.told.idle.append(sum(each.budgets.accounts[BUDGET].free for each in self.replicas))
        self.clock.at(self.clock.now + LOOK_SECONDS, self._look)


class Asking:
    """One question on its way through one gateway, to another backend where one fails."""

    __slots__ = ("_avoid", "_began", "_fleet", "_replica", "_request")

    def __init__(self, fleet: Fleet, replica: Replica, request: Request) -> None:
        self._fleet, self._replica, self._request = fleet, replica, request
        self._avoid: frozenset[str] = frozenset()
        self._began = fleet.clock.now

    def ask(self) -> None:
        """The next attempt."""
        try:
            lease = self._replica.selection.acquire(self._request, self._avoid)
        except NoBackendAvailable:
            self._fleet.told.failed += 1
            return
        self._fleet.told.asked[lease.backend_id] += 1
        self._fleet.servers[lease.backend_id].ask(WRITTEN, lambda result: self._answered(lease, result))

    def _answered(self, lease: Lease, result: Result) -> None:
        if result.trouble is not None:
            self._failed(lease)
            return
        now, usage = self._fleet.clock.now, Usage(input_tokens=READ, output_tokens=WRITTEN)
        outcome = answered(lease, Answer(usage=usage), now, result.first_token)
        self._replica.selection.settle(lease, outcome)
        self._fleet.told.seconds.append(now - self._began)
        self._fleet.billed(self._request, outcome.cost)

    def _failed(self, lease: Lease) -> None:
        why = {"verdict": Verdict.FAILURE, "error": "overloaded", "code": "upstream_error", "status": 500, "sent": True}
        outcome = failed(lease, self._fleet.clock.now, **why)  # type: ignore[arg-type]
        self._replica.selection.settle(lease, outcome)
        self._fleet.billed(self._request, outcome.cost)
        self._fleet.met(lease.backend_id)
        self._avoid |= {lease.backend_id}
        if len(self._avoid) < MOST_ATTEMPTS:
            self.ask()
        else:
            self._fleet.told.failed += 1
