"""What makes a gateway one of several: what it tells the others of itself, and what it takes from them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from equipoise.build import Estate
from equipoise.cli.reloading import BY_SIGNAL, Reloading, Signature, files_of, reloaded, signature
from equipoise.cli.replicas import replica_of, told_of
from equipoise.cli.running import Running
from equipoise.config.errors import Path as FieldPath
from equipoise.config.save import config_hash
from equipoise.core.events import Observer
from equipoise.core.hinting import hinted
from equipoise.gateway import Gateway, purging
from equipoise.gateway.run import Stop
from equipoise.telemetry.totals import Snapshot, Totals
from equipoise.workers.limits import Limits
from equipoise.workers.member import Member, Served
from equipoise.workers.messages import Changes, Overlay

if TYPE_CHECKING:
    from equipoise.workers.replica import Replica


class Worker:
    """One of several processes on a port: a Member with everything that it speaks for."""

    def __init__(self, member: Member, port: int, overlay: Mapping[FieldPath, Any]) -> None:
        self.member, self.port, self.stop = member, port, Stop()
        self._overlay = dict(overlay)
        self._estate: Estate | None = None
        self._running: Running | None = None

    def join(self, estate: Estate, running: Running) -> Limits:
        """These are what it has; from now on the others hear of its breakers and of changes made here."""
        self._estate, self._running = estate, running
        running.changes = dict(self._overlay)
        replica = replica_of(estate, self.member)
        estate.balancer.observers.append(self.member.observe if replica is None else self._heard_by_workers(replica))
        holds, lends = (self.member.slices, self.member) if replica is None else (replica.shares, replica.shares)
        limits = Limits(estate.balancer, holds, lends)
        limits.connect()
        running.applied.append(lambda config: limits.connect())
        running.settled.append(self.member.settled_configuration)
        return limits

    def _heard_by_workers(self, replica: Replica) -> Observer:
        """What another host told was told to each worker."""
        return lambda event: None if replica.following else self.member.observe(event)

    def serve(self, gateway: Gateway) -> None:
        """This gateway answers what operators ask."""
        assert self._estate is not None
        assert self._running is not None
        estate, running = self._estate, self._running
        balancer, metrics, ledger = estate.balancer, estate.metrics, estate.ledger

        async def flush() -> None:
            if ledger is not None:
                await ledger.flush()

        self.member.serve(
            Served(
                snapshot=metrics.snapshot if metrics is not None else _nothing,
                sums=metrics.sums if metrics is not None else _nothing,
                status=lambda: {**balancer.status(), "configuration": running.health()},
                learning=metrics.learned_now if metrics is not None else dict,
                flush=flush,
                admin=gateway.handle_admin,
                repeat=purging.operations(gateway.cache)["POST", purging.PURGE],
                hinted=lambda hint: hinted(balancer.selection, hint),
                hint=lambda event: told_of(balancer, event),
                configuration=Following(running),
            )
        )

    def ready(self, port: int, admin_port: int) -> None:
        """Questions are answered from now on."""
        self.member.ready()

    def reloading(self, running: Running, seen: Signature) -> Followed:
        """Who looks at the files: nobody, until this worker leads."""
        return Followed(running, seen, self.member)


class Followed(Reloading):
    """Looks at the files only while this worker leads; SIGHUP is for the parent."""

    def __init__(self, running: Running, seen: Signature, member: Member) -> None:
        super().__init__(running, seen)
        self._member = member

    async def __aenter__(self) -> Followed:
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._member.lead = self._take_over
        if self._member.leads:
            self.watch()
        return self

    def _take_over(self) -> None:
        self._seen = signature(files_of(self._running.loaded))  # whoever led until now has told what changed
        self.watch()


class Following:
    """The configuration of a worker, as the parent speaks of it."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def adopt(self, changes: Changes) -> None:
        """Go by the file with these changes on top. Raises Problem."""
        await self._running.adopt(changes_of(changes))

    async def reload(self) -> Any:
        """Read it again, as the parent was told by a signal. Raises Problem."""
        return await reloaded(self._running, BY_SIGNAL)

    def overlay(self) -> Overlay:
        """What is gone by now."""
        return Overlay(told(self._running.changes), config_hash(self._running.loaded.config))


def told(changes: Mapping[FieldPath, Any]) -> Changes:
    """Changes as they are sent."""
    return [(list(path), value) for path, value in changes.items()]


def changes_of(sent: Changes) -> dict[FieldPath, Any]:
    """Changes as they were before they were sent."""
    return {tuple(path): value for path, value in sent}


def _nothing() -> Snapshot:
    return Snapshot(Totals())


async def stopped_with_the_parent(talking: asyncio.Task[None], stop: Stop) -> None:
    """A worker does not outlive its parent: it drains, as if it had been told to."""
    await asyncio.wait({talking})
    if not stop.asked.is_set():
        stop.hear()
