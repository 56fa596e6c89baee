"""Who may be asked at this instant, and why each of the others may not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from equipoise.core.backend import Backend
from equipoise.core.model import Chance, NoBackendAvailable, Request
from equipoise.core.tier import Tier

PANIC_SHARE = 0.5
PANIC_POOL = 4


class Look(msgspec.Struct, kw_only=True):
    """What a look at a route found: who is eligible, at which step of its chain, who is left out and why.

    `panic` says that sick ones are among them; `sampled_from` how many they were drawn from, 0 when all were compared.
    """

    eligible: list[Backend]
    excluded: dict[str, str]
    step: int = 0
    panic: bool = False
    sampled_from: int = 0


def look(
    chain: Sequence[Sequence[Tier]],
    request: Request,
    avoid: frozenset[str],
    corpus: str | None,
    now: float,
    how: str,
    chance: Chance,
) -> Look:
    """Walk a route's chain to the first tier where somebody is eligible; in panic take the sick ones in.

    Another corpus is no replica: it may be asked only in a later step, which the operator declared.
    """
    excluded: dict[str, str] = {}
    sick: list[Backend] = []
    for step, tiers in enumerate(chain):
        wanted = corpus if step == 0 else None
        for tier in tiers:
            if tier.large and (drawn := tier.draw(how, _free(request, avoid, wanted, now), chance)):
                return Look(eligible=drawn, excluded=excluded, step=step, sampled_from=len(tier.backends))
            eligible, unwell = _sort(tier.backends, request, avoid, wanted, now, excluded)
            if eligible:
                return _with_the_sick(eligible, unwell, excluded, step, now)
            sick += [backend for backend in unwell if only_sick(backend, now)]
    return _rescued(sick, excluded)


def only_sick(backend: Backend, now: float) -> bool:
    """Left out for its results alone? An operator's word, a refused key, a throttle and a full house stand in panic."""
    breaker = backend.breaker
    tripped = not breaker.allows(now) and not breaker.refused and not breaker.held_open
    return (tripped or backend.health.down) and not backend.draining and backend.room(now) is None


def no_backend_available(
    backends: Mapping[str, Backend], excluded: dict[str, str], request: Request, now: float
) -> NoBackendAvailable:
    """The refusal, with its code and with when it may be worth asking again."""
    waits = [backends[name].seconds_until_free(now) for name in excluded]
    shortest = min((wait for wait in waits if wait > 0), default=math.inf)
    codes = {backends[name].refusal_code(request, now) for name in excluded}
    code = codes.pop() if len(codes) == 1 else "no_healthy_backend"
    return NoBackendAvailable(excluded, None if math.isinf(shortest) else shortest, code)


def _sort(
    backends: Sequence[Backend],
    request: Request,
    avoid: frozenset[str],
    corpus: str | None,
    now: float,
    excluded: dict[str, str],
) -> tuple[list[Backend], list[Backend]]:
    """Those that may be asked and those that are merely unwell; whoever may not gets its reason in `excluded`."""
    eligible: list[Backend] = []
    unwell: list[Backend] = []
    for backend in backends:
        why = _ruled_out(backend, avoid, corpus) or backend.unfit(request)
        if why is None:
            why = backend.unwell(now)
            (unwell if why else eligible).append(backend)
        if why is not None:
            excluded[backend.id] = why
    return eligible, unwell


def _ruled_out(backend: Backend, avoid: frozenset[str], corpus: str | None) -> str | None:
    if backend.id in avoid:
        return "already tried"
    other = backend.options.corpus
    if corpus is not None and other is not None and other != corpus:
        return f"holds another corpus ({other}), no replica of {corpus}; declare it as a fallback to allow it"
    return None


class _free:  # noqa: N801 - a closure with a name
    """Is a backend eligible, asked of one at a time?"""

    __slots__ = ("avoid", "corpus", "now", "request")

    def __init__(self, request: Request, avoid: frozenset[str], corpus: str | None, now: float) -> None:
        self.request, self.avoid, self.corpus, self.now = request, avoid, corpus, now

    def __call__(self, backend: Backend) -> bool:
        return _ruled_out(backend, self.avoid, self.corpus) is None and backend.why_not(self.request, self.now) is None


def _with_the_sick(
    eligible: list[Backend], unwell: list[Backend], excluded: dict[str, str], step: int, now: float
) -> Look:
    """Envoy's panic: when under half of four or more look healthy, illness is likelier in the eye of the beholder."""
    pool = len(eligible) + len(unwell)
    if pool < PANIC_POOL or len(eligible) >= PANIC_SHARE * pool:
        return Look(eligible=eligible, excluded=excluded, step=step)
    rescued = [backend for backend in unwell if only_sick(backend, now)]
    for backend in rescued:
        del excluded[backend.id]
    return Look(eligible=eligible + rescued, excluded=excluded, step=step, panic=bool(rescued))


def _rescued(sick: list[Backend], excluded: dict[str, str]) -> Look:
    """Nobody is healthy anywhere: rather the sick than nobody."""
    for backend in sick:
        del excluded[backend.id]
    return Look(eligible=sick, excluded=excluded, panic=bool(sick))
