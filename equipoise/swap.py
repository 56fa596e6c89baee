"""A balancer whose configuration can be replaced while questions are being answered."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from equipoise.balancer import Background, LoadBalancer
from equipoise.build import ClosedWithTheBalancer, Lasting, build
from equipoise.config import Config
from equipoise.config.alerts import AlertsConfig
from equipoise.config.content import ContentConfig
from equipoise.config.hooks import TracingConfig
from equipoise.config.save import config_hash
from equipoise.config.shared import SharedConfig
from equipoise.core.events import Observer
from equipoise.crew import Crew
from equipoise.stores.leasing import Leasing
from equipoise.telemetry.alerts import AlertDesk
from equipoise.telemetry.push import Pusher

LASTING = (ClosedWithTheBalancer, AlertDesk, Lasting, Leasing, Pusher)
"""What runs in the background of a balancer, whatever its configuration."""
WITHOUT_SINKS: dict[str, Any] = {
    "enable_prometheus_metrics": False,
    "alerts": AlertsConfig(enabled=False),
    "tracing": TracingConfig(),
    "content": ContentConfig(),
}
PATIENCE = 0.02
"""Seconds between two looks at whether the last question of a replaced balancer has been answered."""


class Swappable:
    """Holds the present balancer. `swap` is one breath: later questions go by the new configuration, those under way end
    as they began, and what is known of backends that stay is kept.

    Metrics are the owner's: `observers` are told of everything. A ledger is kept only where the configuration names one,
    and alerts are sent only where it says to whom.
    """

    def __init__(self, config: Config, observers: Sequence[Observer] = ()) -> None:
        self.config, self._running = config, False
        self.balancer = _built(config)
        self.balancer.observers[:] = [*observers, *_watching(self.balancer)]
        self._former: set[LoadBalancer] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def swap(self, config: Config, observers: Sequence[Observer] | None = None) -> None:
        """Go by this configuration from now on. What `build` raises leaves everything as it was."""
        fresh, former = _built(config), self.balancer
        fresh.selection.inherit(former.selection)
        former.efficiency.follow(fresh.efficiency)
        fresh.efficiency = former.efficiency
        if fresh.scorer is not None and former.scorer is not None:
            fresh.scorer.inherit(former.scorer)
        fresh.observers = fresh.selection.observers
        if fresh.learning is not None and former.learning is not None:
            fresh.learning.inherit(former.learning)
        gone = _watching(former)
        kept = [of for of in fresh.observers if of not in gone] if observers is None else observers
        fresh.observers[:] = [*kept, *_watching(fresh)]
        self.balancer, self.config = fresh, config
        self._former.add(former)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # nothing runs yet, so nothing is to be handed over: `close` closes it
            return
        task = loop.create_task(self._hand_over(former, fresh), name="swap")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def start(self) -> None:
        """Begin what runs beside the questions."""
        if not self._running:
            self._running = True
            await self.balancer.start()

    async def close(self) -> None:
        """Close everything; a later question opens what it needs again."""
        self._running = False
        self.swap(self.config)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for former in list(self._former):
            self._former.discard(former)
            await former.close()

    async def _hand_over(self, former: LoadBalancer, fresh: LoadBalancer) -> None:
        if self._running:
            await fresh.start()
        while former.in_flight:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(PATIENCE)
        self._former.discard(former)
        await former.close()


def _built(config: Config) -> LoadBalancer:
    said = config.model_fields_set
    ledger = config.ledger if "ledger" in said else config.ledger.model_copy(update={"enabled": False})
    told = config.alert_webhook_url or config.alert_email_recipients or "alerts" in said
    sinks = {"enable_prometheus_metrics": False, "content": ContentConfig()} if told else WITHOUT_SINKS
    return build(config.model_copy(update={"ledger": ledger, **sinks})).balancer


def _watching(balancer: LoadBalancer) -> list[Observer]:
    """The alerts of a balancer, as an observer."""
    return [each.observe for each in balancer.background if isinstance(each, AlertDesk)]


def built_beside(config: Config) -> LoadBalancer:
    """A balancer to be taken over by a running one, which has ledger and metrics already."""
    switched_off = {"ledger": config.ledger.model_copy(update={"enabled": False}), "shared": SharedConfig()}
    found = build(config.model_copy(update={**switched_off, **WITHOUT_SINKS})).balancer
    found.config_hash = config_hash(config)
    return found


def take_over(balancer: LoadBalancer, fresh: LoadBalancer, config: Config) -> Coroutine[None, None, None]:
    """Have a running balancer go by this configuration from now on; what is returned clears up behind it.

    The swap itself is over when this returns. Ledger and metrics stay; the former probes end and the new ones begin,
    the former connections close after the last question that uses them.
    """
    lasting = [e for e in balancer.background if isinstance(e, LASTING) or getattr(e, "outlasts_a_swap", False)]
    ending = [each for each in balancer.background if each not in lasting]
    crew = balancer.become(fresh)
    beginning = [each for each in fresh.background if not isinstance(each, Leasing)]
    balancer.background[:] = [*lasting, *beginning]
    for name, of in config.backend_instances.items():
        if of.drained != balancer.selection.backends[name].draining:
            (balancer.drain if of.drained else balancer.resume)(name)
    return _clear_up(crew, ending, beginning)


async def _clear_up(crew: Crew, ending: Sequence[Background], beginning: Sequence[Background]) -> None:
    for background in beginning:
        await background.start()
    for background in ending:
        await background.close()
    while crew.in_flight:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(PATIENCE)
    await crew.close()
