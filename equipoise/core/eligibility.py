"""Who may be asked at this instant, and why each of the others may not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from equipoise.core.backend import UNSUPPORTED, Backend
from equipoise.core.data_classes import NOT_ALLOWED
from equipoise.core.model import Candidate, Chance, Choice, NoBackendAvailable, Policy, Request
from equipoise.core.purse import Purse
from equipoise.core.sticky import Home
from equipoise.core.tier import Tier

PANIC_SHARE = 0.5
PANIC_POOL = 4
RESERVE = 1.4
"""A tier takes all requests until fewer than 1 / 1.4 of it are healthy (Envoy's overprovisioning factor)."""
TOO_DEAR = "budget_exceeded"


class Look(msgspec.Struct):
    """What a look at a route found: who is eligible, at which step of its chain, who is left out and why.

    `panic` says that sick ones are among them; `sampled_from` how many they were drawn from, 0 when all were compared;
    `share` how likely it was that the request came to this tier. `policy` is who chooses, unless one was asked for by
    name, and `home` what the request stays with.
    """

    eligible: list[Backend]
    excluded: dict[str, str]
    step: int = 0
    panic: bool = False
    sampled_from: int = 0
    share: float = 1.0
    policy: Policy | None = None
    home: Home | None = None


class Viewer(msgspec.Struct, gc=False):
    """Who looks: a request, whom it has tried, the corpus it is bound to, when, and who says how a few are drawn of many.

    `session` is the hash of a session that stays with its backend, `purse` knows whom its budgets allow.
    `panic` says whether the sick may be let in while somebody is healthy.
    """

    request: Request
    avoid: frozenset[str]
    corpus: str | None
    now: float
    policy: Policy | None
    chance: Chance
    session: int | None = None
    purse: Purse | None = None
    panic: bool = True


class Opening(msgspec.Struct, gc=False):
    """A tier where somebody is eligible, and the share of requests that it can take (its health, with reserves)."""

    tier: Tier
    eligible: list[Backend]
    unwell: list[Backend]
    room: float
    drawn: bool = False


def look(chain: Sequence[Sequence[Tier]], viewer: Viewer) -> Look:
    """Walk a route's chain to the first step where somebody is eligible and draw a tier there; in panic take the sick.

    Another corpus is no replica: it may be asked only in a later step, which the operator declared.
    """
    excluded: dict[str, str] = {}
    sick: list[Backend] = []
    for step, tiers in enumerate(chain):
        tier = tiers[0]
        if tier.large:
            first = _opening(tier, viewer, excluded, alone=len(tiers) == 1)
        else:
            eligible, unwell = _sort(tier.backends, viewer, excluded)
            if eligible and not unwell:  # the usual case, and the shortest way
                return Look(eligible, excluded, step)
            first = _opened(tier, eligible, unwell)
        if first.room >= 1.0 and not first.drawn:
            return Look(first.eligible, excluded, step)
        openings = _openings(first, tiers, viewer, excluded, sick)
        if openings:
            return _entered(openings, excluded, step, viewer)
        if any(backend.full(viewer.request, viewer.now) for tier in tiers for backend in _may_be(tier, viewer)):
            return Look([], excluded)  # a healthy one will have room before a sick one is well
        viewer.corpus = None
    return _rescued(sick, excluded, viewer.now)


def _may_be(tier: Tier, viewer: Viewer) -> list[Backend]:
    return [b for b in tier.backends if _ruled_out(b, viewer.avoid, viewer.corpus) is None]


def _openings(
    first: Opening, tiers: Sequence[Tier], viewer: Viewer, excluded: dict[str, str], sick: list[Backend]
) -> list[Opening]:
    """The tiers of one step, until together they can take everything."""
    openings: list[Opening] = []
    room = 0.0
    for tier in tiers:
        opening = first if tier is first.tier else _opening(tier, viewer, excluded, alone=False)
        if opening.eligible:
            openings.append(opening)
            room += opening.room
        else:
            sick += [backend for backend in opening.unwell if only_sick(backend, viewer.now)]
        if room >= 1.0:
            break
    return openings


def _opening(tier: Tier, viewer: Viewer, excluded: dict[str, str], *, alone: bool) -> Opening:
    """Envoy's overprovisioning: a tier takes all traffic until fewer than 1 / 1.4 of it are healthy."""
    if tier.large and (drawn := _drawn(tier, viewer)):
        room = 1.0 if alone else min(1.0, RESERVE * tier.well_share(viewer.now))
        return Opening(tier, drawn, [], room or 1.0, True)
    return _opened(tier, *_sort(tier.backends, viewer, excluded))


def _opened(tier: Tier, eligible: list[Backend], unwell: list[Backend]) -> Opening:
    if not unwell:
        return Opening(tier, eligible, unwell, 1.0 if eligible else 0.0)
    return Opening(tier, eligible, unwell, min(1.0, RESERVE * (len(eligible) / (len(eligible) + len(unwell)))))


def _drawn(tier: Tier, viewer: Viewer) -> list[Backend]:
    if viewer.session is not None:
        return tier.home(viewer.session, _free(viewer))
    return tier.draw(getattr(viewer.policy, "sampling", "pair"), _free(viewer), viewer.chance)


def _entered(openings: list[Opening], excluded: dict[str, str], step: int, viewer: Viewer) -> Look:
    """Draw the tier of this request: lower ones are filled first, and what nobody has room for is shared by health."""
    room = sum(opening.room for opening in openings)
    if len(openings) == 1:
        return _with_the_sick(openings[0], excluded, step, viewer, enough=room >= 1.0)
    drawn, left = viewer.chance.random(), 1.0
    for opening in openings:
        share = min(left, opening.room / min(1.0, room))
        left -= share
        drawn -= share
        if drawn < 0.0 or opening is openings[-1]:
            break
    for other in openings:
        if other is not opening:
            excluded.update(_elsewhere(other, opening))
    seen = _with_the_sick(opening, excluded, step, viewer, enough=room >= 1.0)
    seen.share = share
    return seen


def _elsewhere(other: Opening, opening: Opening) -> dict[str, str]:
    """Why those of another tier were not compared."""
    here = opening.tier.backends[0].options
    label = f"priority {here.priority}" + (f", region {here.region}" if here.region else "")
    return {b.id: f"its tier takes {other.room:.0%} of requests now; this one fell to {label}" for b in other.eligible}


def only_sick(backend: Backend, now: float) -> bool:
    """Left out for its results alone? An operator's word, a refused key, a throttle and a full house stand in panic."""
    breaker = backend.breaker
    tripped = not breaker.allows(now) and not breaker.refused and not breaker.held_open
    ill = tripped or backend.health.down or (breaker.allows(now) and backend.cold(now) is not None)
    return ill and not backend.draining and backend.room(now) is None


def no_backend_available(
    backends: Mapping[str, Backend], excluded: dict[str, str], viewer: Viewer
) -> NoBackendAvailable:
    """The refusal, with its code and with when it may be worth asking again."""
    request, now, purse = viewer.request, viewer.now, viewer.purse
    broke = purse.refused if purse is not None else {}
    waits = [
        backends[name].seconds_until_free(request, now)
        for name in excluded
        if name not in broke and request.data_classes <= backends[name].options.allows
    ]
    waits += [purse.seconds_until_renewed()] if purse is not None else []
    shortest = min((wait for wait in waits if wait > 0), default=math.inf)
    asked = [backends[name] for name in excluded]
    open_to_it = [backend for backend in asked if _ruled_out(backend, viewer.avoid, viewer.corpus) is None]
    codes = {TOO_DEAR if b.id in broke else b.refusal_code(request, now) for b in open_to_it or asked}
    if len(codes) > 1:  # whoever could have answered decides whether asking again may help
        codes.discard(NOT_ALLOWED)
    if len(codes) > 1:
        codes.discard(UNSUPPORTED)
    code = codes.pop() if len(codes) == 1 else "no_healthy_backend"
    short = purse is not None and purse.short
    full = any(backend.full(request, now) for backend in open_to_it if backend.id not in broke)
    return NoBackendAvailable(excluded, None if math.isinf(shortest) else shortest, code, short=short, full=full)


def _sort(backends: Sequence[Backend], viewer: Viewer, excluded: dict[str, str]) -> tuple[list[Backend], list[Backend]]:
    """Those that may be asked and those that are merely unwell; whoever may not gets its reason in `excluded`."""
    request, avoid, corpus, now, purse = viewer.request, viewer.avoid, viewer.corpus, viewer.now, viewer.purse
    again = corpus is not None or bool(avoid)
    eligible: list[Backend] = []
    unwell: list[Backend] = []
    for backend in backends:
        why, free = _ruled_out(backend, avoid, corpus) if again else None, backend.free(request, now)
        if why is None and not free:
            why = backend.unfit(request, now)
        if why is None and purse is not None:
            why = purse.why_not(backend)
        if why is None and not free:
            why = backend.unwell(now) or backend.cold(now)
            if why is not None:
                unwell.append(backend)
        if why is None:
            eligible.append(backend)
        else:
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

    __slots__ = ("viewer",)

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer

    def __call__(self, backend: Backend) -> bool:
        viewer = self.viewer
        if _ruled_out(backend, viewer.avoid, viewer.corpus) or backend.why_not(viewer.request, viewer.now):
            return False
        if backend.cold(viewer.now):
            return False
        return viewer.purse is None or viewer.purse.why_not(backend) is None


def _with_the_sick(opening: Opening, excluded: dict[str, str], step: int, viewer: Viewer, *, enough: bool) -> Look:
    """Envoy's panic: when under half of four or more look healthy, illness is likelier in the eye of the beholder, and
    the few that are left must not be run over.

    So the sick are let in once the healthy are at their limits: until then, asking one known to fail serves nobody. Not
    while other tiers have `enough` room for what this one cannot take.
    """
    eligible, unwell = opening.eligible, opening.unwell
    pool = len(eligible) + len(unwell)
    if opening.drawn:
        return Look(eligible=eligible, excluded=excluded, step=step, sampled_from=len(opening.tier.backends))
    if enough or not viewer.panic or any(backend.load.in_flight < backend.limit.value for backend in eligible):
        return Look(eligible=eligible, excluded=excluded, step=step)
    ill = [backend for backend in unwell if only_sick(backend, viewer.now)]
    if pool < PANIC_POOL or pool - len(ill) >= PANIC_SHARE * pool:
        return Look(eligible=eligible, excluded=excluded, step=step)
    rescued = _alive_first(ill, viewer.now)
    for backend in rescued:
        del excluded[backend.id]
    return Look(eligible=eligible + rescued, excluded=excluded, step=step, panic=bool(rescued))


def _rescued(sick: list[Backend], excluded: dict[str, str], now: float) -> Look:
    """Nobody is healthy anywhere: rather the sick than nobody."""
    sick = _alive_first(sick, now)
    for backend in sick:
        del excluded[backend.id]
    return Look(eligible=sick, excluded=excluded, panic=bool(sick))


def _alive_first(sick: list[Backend], now: float) -> list[Backend]:
    """Those that answer, though slowly or just back, where there are any: who fails at once would draw everything."""
    return [b for b in sick if b.breaker.slow or b.breaker.allows(now)] or sick


def not_compared(candidates: Sequence[Candidate], choice: Choice, request: Request) -> dict[str, str]:
    """Why a policy did not even score some: below the floor of quality, or at their limit."""
    left = [c for c in candidates if c.backend_id not in choice.scores]
    floor = request.min_quality
    return {
        c.backend_id: f"its quality is surely no more than {c.quality_low:.2f}, the floor is {floor:.2f}"
        if c.quality_low < floor
        else f"at its limit: {c.in_flight} in flight"
        for c in left
    }
