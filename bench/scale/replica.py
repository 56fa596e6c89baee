"""One gateway of the fleet: the product's own selection, budgets and hints; only who carries them is modelled."""

from __future__ import annotations

import random
from collections.abc import Callable

from equipoise.build import selection_of
from equipoise.build.budgets import budgets_of
from equipoise.config import Config
from equipoise.core.breaker import BreakerState
from equipoise.core.budget import Budgets
from equipoise.core.events import BackendChanged, Event
from equipoise.core.hinting import Hint, hint_of, hinted
from equipoise.core.selection import Selection
from equipoise.simulation.clock import VirtualClock
from equipoise.stores.leases import LeaseStore

TELLING = {BreakerState.OPEN.value: True, BreakerState.CLOSED.value: False}
"""States that are told to others, as the product's workers and replicas tell them."""


class Replica:
    """A gateway with a state of its own. `out` holds what its breakers have to tell; `on_hint` hears of each at once."""

    def __init__(self, name: str, config: Config, clock: VirtualClock, seed: int) -> None:
        chance = random.Random(f"{seed} {name}")
        self.name, self.clock = name, clock
        self.selection: Selection = selection_of(config, clock, chance, budgets_of(config))[0]
        self.budgets: Budgets = self.selection.budgets
        self.budgets.holder, self.budgets.keeper = name, self
        self.budgets.wake = self._hurry
        self.selection.observers.append(self._observe)
        self.out: list[Hint] = []
        self.on_hint: Callable[[Replica, Hint], None] = lambda replica, hint: None
        self.on_hurry: Callable[[Replica], None] = lambda replica: None
        self._following = False
        self._turned_at = clock.now

    def turn(self, store: LeaseStore, lasts: float) -> None:
        """One turn at the budgets' store, as `stores.leasing` takes it; what is held is ours for `lasts` seconds."""
        budgets, wall, now = self.budgets, self.clock.wall(), self.clock.now
        asks = budgets.asks(wall, min(now - self._turned_at, lasts))
        grants = store.renew(self.name, budgets.turn + 1, asks, wall, lasts)
        budgets.turn, self._turned_at = budgets.turn + 1, now
        budgets.lapses = wall + lasts - 1.0, now + lasts - 1.0
        budgets.granted(grants, wall)

    def hear(self, hint: Hint) -> None:
        """Go by another's breaker; that is no news for others."""
        self._following = True
        try:
            hinted(self.selection, hint)
        finally:
            self._following = False

    def shuns(self, backend_id: str) -> bool:
        """Is a backend left alone here?"""
        return self.selection.backends[backend_id].breaker.state is not BreakerState.CLOSED

    def _observe(self, event: Event) -> None:
        if type(event) is BackendChanged and event.state in TELLING and not self._following:
            hint = hint_of(self.selection, event.backend_id, opened=TELLING[event.state], by_hand=False)
            self.out.append(hint)
            self.on_hint(self, hint)

    def _hurry(self) -> None:
        self.on_hurry(self)
