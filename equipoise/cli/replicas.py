"""A gateway of a fleet, put together: what it exchanges with gateways on other hosts through Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.balancer import LoadBalancer
from equipoise.build import Estate
from equipoise.cli.running import Running
from equipoise.core.events import BackendChanged, Observer
from equipoise.core.hinting import Hint, hint_of
from equipoise.gateway.breakers import BY_HAND
from equipoise.workers.limits import Limits
from equipoise.workers.member import Member

if TYPE_CHECKING:
    from equipoise.workers.replica import Replica


def replica_of(estate: Estate, member: Member | None = None) -> Replica | None:
    """This process as one of a fleet, started and closed with its balancer; None where no Redis is shared.

    As a worker it tells what it has seen itself, and not what it follows.
    """
    if estate.link is None:
        return None
    from equipoise.workers.replica import Replica

    balancer = estate.balancer
    found = Replica(estate.link, balancer, lambda event: told_of(balancer, event), workers=member is not None)
    balancer.observers.append(found.observe if member is None else unless_following(member, found.observe))
    balancer.background.append(found)
    return found


def limits_over_hosts(estate: Estate, running: Running) -> Limits | None:
    """The limits of a gateway that has a process to itself, leased from Redis; None where none is shared."""
    replica = replica_of(estate)
    if replica is None:
        return None
    limits = Limits(estate.balancer, replica.shares, replica.shares)
    limits.connect()
    running.applied.append(lambda config: limits.connect())
    return limits


def unless_following(member: Member, observe: Observer) -> Observer:
    """Hears nothing of what a worker does on a hint of the one beside it."""
    return lambda event: None if member.following else observe(event)


def told_of(balancer: LoadBalancer, event: BackendChanged) -> Hint:
    """A change of a breaker as others are to hear of it."""
    by_hand = event.reason.endswith(BY_HAND)
    return hint_of(balancer.selection, event.backend_id, opened=event.state == "open", by_hand=by_hand)
