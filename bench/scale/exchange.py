"""Who speaks to whom, and how often: at once as shipped, every so many seconds, or never again."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.scale.replica import Replica
from equipoise.core.hinting import Hint
from equipoise.simulation.clock import VirtualClock
from equipoise.stores.leases import LeaseStore
from equipoise.stores.leasing import LEASE_SECONDS, SHORTEST_PAUSE, TURN_SECONDS

WAY_SECONDS = 0.001
"""From one gateway to another through a Redis nearby."""
FIRST_SECONDS = 5.0
"""When those who never speak again fall silent."""


class AtOnce:
    """As shipped: hints are passed on when they arise, turns are taken twice a second and whenever a slice runs low."""

    def __init__(self, replicas: Sequence[Replica], store: LeaseStore, clock: VirtualClock) -> None:
        self.replicas, self._store, self._clock = replicas, store, clock
        self._hurried: set[str] = set()
        self.silent = False

    def begin(self, chance: random.Random) -> None:
        """From now on."""
        for replica in self.replicas:
            replica.on_hint, replica.on_hurry = self._pass_on, self._hurry
            self._clock.at(chance.random() * TURN_SECONDS, lambda r=replica: self._turn(r))  # type: ignore[misc]

    def turned_for(self, replica: Replica) -> bool:
        """A question lacks a slice: take a turn now."""
        if not self.silent:
            replica.turn(self._store, LEASE_SECONDS)
        return not self.silent

    def _turn(self, replica: Replica) -> None:
        if self.silent:
            return
        replica.turn(self._store, LEASE_SECONDS)
        self._clock.at(self._clock.now + TURN_SECONDS, lambda: self._turn(replica))

    def _hurry(self, replica: Replica) -> None:
        if self.silent or replica.name in self._hurried:
            return
        self._hurried.add(replica.name)
        self._clock.at(self._clock.now + SHORTEST_PAUSE, lambda: self._hurried_turn(replica))

    def _hurried_turn(self, replica: Replica) -> None:
        self._hurried.discard(replica.name)
        if not self.silent:
            replica.turn(self._store, LEASE_SECONDS)

    def _pass_on(self, teller: Replica, hint: Hint) -> None:
        if not self.silent:
            self._clock.at(self._clock.now + WAY_SECONDS, lambda: self._heard(teller, hint))

    def _heard(self, teller: Replica, hint: Hint) -> None:
        for replica in self.replicas:
            if replica is not teller:
                replica.hear(hint)


class Never(AtOnce):
    """At once for the first seconds, then silence: each goes on with what it holds and no more."""

    def begin(self, chance: random.Random) -> None:
        super().begin(chance)
        self._clock.at(FIRST_SECONDS, self._fall_silent)

    def _fall_silent(self) -> None:
        self.silent = True
        for replica in self.replicas:
            replica.budgets.lapses = float("inf"), float("inf")


class Every:
    """Each speaks every so many seconds, beginning at a moment of its own: it tells, hears and takes its turn."""

    def __init__(self, replicas: Sequence[Replica], store: LeaseStore, clock: VirtualClock, seconds: float) -> None:
        self.replicas, self._store, self._clock, self._seconds = replicas, store, clock, seconds
        self._board: list[tuple[Replica, Hint]] = []
        self._read = dict.fromkeys((replica.name for replica in replicas), 0)

    def begin(self, chance: random.Random) -> None:
        """Once for all at the start, then each in its time."""
        for replica in self.replicas:
            self._speak(replica)
            at = chance.random() * self._seconds
            self._clock.at(at, lambda r=replica: self._again(r))  # type: ignore[misc]

    def turned_for(self, replica: Replica) -> bool:
        """Not before its time."""
        return False

    def _again(self, replica: Replica) -> None:
        self._speak(replica)
        self._clock.at(self._clock.now + self._seconds, lambda: self._again(replica))

    def _speak(self, replica: Replica) -> None:
        self._board.extend((replica, hint) for hint in replica.out)
        replica.out.clear()
        for teller, hint in self._board[self._read[replica.name] :]:
            if teller is not replica:
                replica.hear(hint)
        self._read[replica.name] = len(self._board)
        replica.turn(self._store, max(LEASE_SECONDS, 2.0 * self._seconds + 1.0))
