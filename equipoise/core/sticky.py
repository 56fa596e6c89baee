"""Questions of a session, or that begin alike, stay with their backend: rendezvous hashing with bounded load (Mirrokni,
Thorup and Zadimoghaddam)."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from hashlib import blake2b

import msgspec

from equipoise.core.model import Candidate, Chance, Choice, Request
from equipoise.core.policies.comparing import good_enough
from equipoise.core.ring import ROOM
from equipoise.core.routing import Route

SMALLEST = 2.0**-64


class Home(msgspec.Struct, frozen=True):
    """What stays together: all that has one `name`. `of` says what that is, for people."""

    name: str
    of: str


def home_of(request: Request, route: Route) -> Home | None:
    """Return what this request stays with: its session, else the beginning of its prompt, where its route goes by these.

    Sessions are a tenant's own. What begins alike may stay together whoever asks it: a place says nothing to anybody.
    """
    if route.sticky and request.session is not None:
        return Home(f"{request.tenant}\0{request.session}", "session")
    return Home(f"\0{request.prefix:x}", "prompt's beginning") if request.prefix is not None else None


def at_home(candidates: Sequence[Candidate], request: Request, home: Home) -> Choice:
    """Return the home's backend: the first in the home's own order that is not beyond its bound.

    The order depends on the home and the ids only, so backends that come or go move only the homes they gain or lose;
    over many homes shares follow the weights. Deterministic given the home, hence its probability is 1.
    """
    compared = good_enough(candidates, request) or candidates
    weights = _weights(compared)
    order = {c.backend_id: _draw(home, c.backend_id, weights[c.backend_id]) for c in compared}
    ranked = sorted(compared, key=lambda c: (-order[c.backend_id], c.backend_id))
    bounds = _bounds(ranked, weights)
    chosen = next(c for c in ranked if c.in_flight < bounds[c.backend_id])
    if chosen is ranked[0]:
        return Choice(chosen.backend_id, order, f"its {home.of} stays here")
    return Choice(chosen.backend_id, order, f"its {home.of}'s backend {ranked[0].backend_id} has more than its share")


def chance_of(home: Home) -> Chance:
    """Return a generator that gives the same to every request of one home."""
    return random.Random(home_hash(home))


def home_hash(home: Home) -> int:
    """Return 64 bits that are the same for every request of one home."""
    return _hash(home, "")


def _weights(candidates: Sequence[Candidate]) -> dict[str, float]:
    weights = {c.backend_id: c.weight for c in candidates}
    return weights if any(weights.values()) else dict.fromkeys(weights, 1.0)


def _bounds(candidates: Sequence[Candidate], weights: dict[str, float]) -> dict[str, int]:
    """Return how many requests each may carry; together they have room for one more than there are."""
    total, heavy = sum(c.in_flight for c in candidates) + 1, sum(weights.values())
    return {name: math.ceil(ROOM * total * weight / heavy) for name, weight in weights.items()}


def _draw(home: Home, backend_id: str, weight: float) -> float:
    """Return w / -ln(u): the greatest of these belongs to each backend with probability w / sum of w."""
    return weight / -math.log(max(SMALLEST, _hash(home, backend_id) * SMALLEST))


def _hash(home: Home, backend_id: str) -> int:
    name = f"{home.name}\0{backend_id}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest())
