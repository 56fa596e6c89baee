"""Look and commit in one breath: `acquire` chooses and admits, `settle` is told what happened.

Both are plain functions that never wait, so nothing can come between the look and the commitment: no lock, no race.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.account import GRACE
from equipoise.core.backend import Backend
from equipoise.core.breaker import CLOSED, BreakerState, Permit
from equipoise.core.budget import Budgets, Reservation
from equipoise.core.eligibility import Look, Viewer, look, no_backend_available, not_compared
from equipoise.core.events import EJECTED, AnswerScored, BackendChanged, Event, Observer
from equipoise.core.inner import Graphs
from equipoise.core.limit import Taken
from equipoise.core.model import (
    Chance,
    Choice,
    Clock,
    Decision,
    NoBackendAvailable,
    Outcome,
    Policy,
    Request,
    Verdict,
)
from equipoise.core.outliers import find_outlier
from equipoise.core.policies.specified import reports
from equipoise.core.purse import Purse
from equipoise.core.routing import Route, version_of
from equipoise.core.standards import Standards
from equipoise.core.sticky import at_home, chance_of, home_hash, home_of
from equipoise.core.tier import Tier, tiers_of

NOBODY: frozenset[str] = frozenset()
PINNED = "pinned"
HEAVIEST, LONGEST_STREAM, SWEEP_SECONDS = 1e6, 3600.0, 1.0
_SUCCESS, _FAILURE = Verdict.SUCCESS, Verdict.FAILURE
TEACHING = (_SUCCESS, _FAILURE, Verdict.NO_ANSWER)


def _nothing(name: str) -> None:
    """What a policy without memory does to forget."""


class Lease(msgspec.Struct, kw_only=True):
    """One attempt in progress, to be settled exactly once.

    `fallback` says that nobody of the route's own backends was free, so that one further down its chain was chosen.
    """

    request: Request
    decision: Decision
    backend: Backend
    permit: Permit
    started: float
    reservation: Reservation | None = None
    tokens: Taken | None = None
    fallback: bool = False
    settled: bool = False

    @property
    def backend_id(self) -> str:
        """Whose attempt this is."""
        return self.backend.id


class Selection:
    """The heart without IO: owns the backends and the policies, answers at once, is told later."""

    def __init__(
        self,
        backends: Iterable[Backend],
        routes: Mapping[str, Route],
        make_policy: Callable[[Route, str], Policy],
        *,
        clock: Clock,
        chance: Chance,
        observers: Sequence[Observer] = (),
        region: str | None = None,
        budgets: Budgets | None = None,
        panic: bool = True,
    ) -> None:
        self._panic, self._swept_at = panic, float("-inf")
        self.backends = {backend.id: backend for backend in backends}
        self.routes, self.clock, self.region = dict(routes), clock, region
        self.observers = list(observers)
        self.budgets = budgets or Budgets()
        self.budgets.tell = self._tell
        self._make_policy, self._chance = make_policy, chance
        self._policies: dict[tuple[str, str], Policy] = {}
        self._standards = Standards()
        self._versions: dict[tuple[str, str], str] = {}
        self.graphs = Graphs({route: each for each in self.backends.values() for route in each.options.llm_via})
        self._told, self._learners = list[Callable[[str, bool], None]](), list[Any]()
        self._chains = {name: self._chain_of(route) for name, route in self.routes.items()}

    def acquire(self, request: Request, avoid: frozenset[str] = NOBODY, corpus: str | None = None) -> Lease:
        """Choose a backend and admit one attempt; the lease must be settled.

        `avoid` holds those already tried, `corpus` the documents an earlier attempt asked: others are no replicas of
        them. Raises NoBackendAvailable with a reason per backend.
        """
        now = self.clock.monotonic()
        seen = self._look(request, avoid, corpus, now)
        decision = self._choose(seen, request, now)
        backend = self.backends[decision.backend_id]
        was = backend.breaker.state
        permit = backend.began(now, regardless=seen.panic and not backend.breaker.allows(now))
        if backend.inner is not None:
            backend.inner.began(request)
        if backend.breaker.state is not was:
            self._tell_change(backend, was)
        return Lease(
            request=request,
            decision=decision,
            backend=backend,
            permit=permit,
            started=now,
            reservation=self._reserved(backend, request, now) if self.budgets.active else None,
            tokens=None if backend.tokens is None else backend.take_tokens(request, now),
            fallback=seen.step > 0,
        )

    def settle(self, lease: Lease, outcome: Outcome) -> None:
        """Take in what became of an attempt. Raises RuntimeError on a second time: that is a bug of the caller."""
        if lease.settled:
            raise RuntimeError(f"the attempt at {lease.backend_id} of request {lease.request.id} was settled twice")
        lease.settled = True
        backend, request, verdict, now = lease.backend, lease.request, outcome.verdict, self.clock.monotonic()
        was = (breaker := backend.breaker).state
        backend.ended(lease.permit, outcome, now, request.kind)
        if self.graphs.known:
            self.graphs.settled(request, outcome, backend)
        if lease.reservation is not None or lease.tokens is not None:
            self._settle_limits(lease, outcome)
        if verdict is _FAILURE or breaker.sluggish:
            self._eject_outlier(now)
        if verdict in TEACHING and (self._told or self._learners):
            self._teach(lease, outcome)
        if verdict is _SUCCESS:
            backend.read(request, outcome.usage.input_tokens)
        if breaker.state is not was:
            self._tell_change(backend, was)

    def explain(self, request: Request, avoid: frozenset[str] = NOBODY) -> Decision:
        """What `acquire` would decide now, with the specification's scores beside; a policy's own counter or generator
        does move on."""
        now = self.clock.monotonic()
        decision = self._choose(self._look(request, avoid, None, now), request, now)
        return msgspec.structs.replace(decision, scores=reports(decision.candidates))

    def foresee(self, request: Request, avoid: frozenset[str] = NOBODY) -> Decision:
        """What `acquire` decides if it is called next, found on copies of all that would move on: nothing does.

        A policy of the user's own that cannot be copied is asked itself. Raises NoBackendAvailable.
        """
        if request.pinned is None:
            self._policy(request.route, request.strategy or self.routes[request.route].strategy)
        shared: dict[int, Any] = {id(backend): backend for backend in self.backends.values()}
        there = copy.copy(self)
        try:
            moving = (self._policies, self._chance, self._chains)
            there._policies, there._chance, there._chains = copy.deepcopy(moving, shared)
        except TypeError:
            return self.explain(request, avoid)
        return there.explain(request, avoid)

    def anybody(self, request: Request, avoid: frozenset[str] = NOBODY, corpus: str | None = None) -> bool:
        """Might anybody (else) be asked now, or as soon as there is room? Commits to nothing."""
        try:
            self._look(request, avoid, corpus, self.clock.monotonic())
        except NoBackendAvailable as nobody:
            return nobody.full
        return True

    def probed(
        self, backend_id: str, *, healthy: bool, error: str | None, details: Mapping[str, Any], completed: bool = True
    ) -> None:
        """Take in what a health probe of a backend found; `completed` is False where it came to no answer."""
        now, wall, backend = self.clock.monotonic(), self.clock.wall(), self.backends[backend_id]
        backend.health.probed(healthy=healthy, error=error, details=details, now=now, wall=wall, completed=completed)
        if healthy:
            self._tell_change(backend, backend.breaker.due(now))

    def scored(self, event: AnswerScored) -> None:
        """Take in how good an answer was; nothing is known of backends that are gone."""
        backend = self.backends.get(event.backend_id)
        if backend is None:
            return
        if event.replaces is None:
            backend.quality.add(event.quality, event.variance, event.kind)
        else:
            former = event.replaces, event.replaced_variance
            backend.quality.replace(*former, event.quality, event.variance, event.kind)
        for policy in self._learners:
            policy.scored(event)
        route = self.routes.get(event.route)
        floor = route.min_quality if route is not None else 0.0
        crossed = self._standards.crossed(event.route, backend.id, backend.quality, floor, self.clock.wall())
        if crossed is not None:
            self._tell(crossed)

    def drain(self, backend_id: str) -> None:
        """Give a backend no new attempts. Raises KeyError for an unknown id."""
        self.backends[backend_id].drain()

    def resume(self, backend_id: str) -> None:
        """Take a drained backend back. Raises KeyError for an unknown id."""
        self.backends[backend_id].resume(self.clock.monotonic())

    def set_weight(self, backend_id: str, weight: float) -> None:
        """Change a backend's weight from now on; 0 leaves it to others wherever weight counts.

        Raises KeyError for an unknown id, ValueError for a number that is no weight.
        """
        backend = self.backends[backend_id]
        if not 0.0 <= weight <= HEAVIEST:
            raise ValueError(f"a weight lies between 0 and {HEAVIEST:g}")
        backend.weight = weight
        self._reweigh()

    def inherit(self, previous: Selection) -> None:
        """Take over the memory and the observers of a selection that this one replaces; what was removed is forgotten.

        Policies of routes that are the same go on; those of others begin with what was learned before.
        """
        for name, backend in self.backends.items():
            if name in previous.backends:
                backend.inherit(previous.backends[name])
        self._reweigh()
        for (route, strategy), policy in previous._policies.items():
            for name in previous.backends.keys() - self.backends.keys():
                getattr(policy, "forget", _nothing)(name)
            if self.routes.get(route) == previous.routes[route]:
                self._adopt(route, strategy, policy)
            elif route in self.routes:
                _teach_anew(self._policy(route, strategy), policy)
        self.observers, self._standards = previous.observers, previous._standards
        previous.budgets.inherit(self.budgets)
        self.budgets = previous.budgets
        self.budgets.tell = self._tell

    def learners(self) -> dict[tuple[str, str], Any]:
        """The policies that learn from scores, by route and strategy; those that routes name are made if need be."""
        for name, route in self.routes.items():
            self._policy(name, route.strategy)
        return {key: policy for key, policy in self._policies.items() if hasattr(policy, "scored")}

    def policy_version(self, decision: Decision) -> str:
        """The strategy and a digest of all that it was made with: two decisions with one version followed one policy."""
        key = decision.route, decision.strategy
        version = self._versions.get(key)
        if version is None:
            route = self.routes[decision.route]
            version = self._versions[key] = version_of(decision.strategy, route.options_of(decision.strategy))
        return version

    def status(self) -> list[dict[str, Any]]:
        """One row a backend, for people."""
        now = self.clock.monotonic()
        return [backend.status(now) for backend in self.backends.values()]

    def _eject_outlier(self, now: float) -> None:
        if now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        if (found := find_outlier(self.backends.values())) is not None:
            found.backend.breaker.eject(now, found.reason, slow=found.slow)
            self._tell_change(found.backend, CLOSED)
            self._tell(BackendChanged(found.backend.id, EJECTED, found.reason, self.clock.wall()))

    def _reweigh(self) -> None:
        for tier in {id(tier): tier for chain in self._chains.values() for step in chain for tier in step}.values():
            tier.reweigh()

    def _reserved(self, backend: Backend, request: Request, now: float) -> Reservation:
        wall = self.clock.wall()
        ends = wall + max(backend.options.timeout, min(request.deadline - now, LONGEST_STREAM)) + GRACE
        return self.budgets.reserve(backend, request, wall, ends)

    def _settle_limits(self, lease: Lease, outcome: Outcome) -> None:
        usage, backend, reservation = outcome.usage, lease.backend, lease.reservation
        if lease.tokens is not None and backend.tokens is not None:
            backend.tokens.correct(lease.tokens, usage.input_tokens + usage.output_tokens)
        if reservation is None:
            return
        # A graph's tokens, where they were measured, are those of its own questions: they have reservations of their own.
        tokens = 0 if outcome.inner_calls else usage.input_tokens + usage.output_tokens
        self.budgets.settle(reservation, (outcome.cost, int(outcome.sent), tokens), self.clock.wall())
        backend.bound.billed(reservation.needs[0], outcome.cost)

    def _look(self, request: Request, avoid: frozenset[str], corpus: str | None, now: float) -> Look:
        purse = Purse(self.budgets, request, self.clock.wall(), now) if self.budgets.active else None
        if request.pinned is not None:
            return self._look_at_pinned(Viewer(request, avoid, None, now, None, self._chance, None, purse))
        route = self.routes[request.route]
        policy = self._policy(request.route, request.strategy or route.strategy)
        home = None if request.session is None and request.prefix is None else home_of(request, route)
        chance, session = (chance_of(home), home_hash(home)) if home is not None else (self._chance, None)
        viewer = Viewer(request, avoid, corpus, now, policy, chance, session, purse, self._panic)
        seen = look(self._chains[request.route], viewer)
        if not seen.eligible:
            raise no_backend_available(self.backends, seen.excluded, viewer)
        seen.policy, seen.home = policy, home
        if home is not None:
            seen.share = 1.0  # the session decides its tier, not chance
        return seen

    def _look_at_pinned(self, viewer: Viewer) -> Look:
        request = viewer.request
        backend = self.backends[request.pinned or ""]
        why = "already tried" if backend.id in viewer.avoid else backend.why_not(request, viewer.now)
        if why is None and viewer.purse is not None:
            why = viewer.purse.why_not(backend)
        if why is not None:
            raise no_backend_available(self.backends, {backend.id: why}, viewer)
        return Look(eligible=[backend], excluded={})

    def _choose(self, seen: Look, request: Request, now: float) -> Decision:
        """By name, by what it stays with, or by the strategy."""
        money = self.budgets.money_price
        candidates = [backend.candidate(request, now, money) for backend in seen.eligible]
        strategy = request.strategy or self.routes[request.route].strategy
        if seen.policy is None:
            strategy, choice = PINNED, Choice(seen.eligible[0].id, {}, f"{request.pinned} was asked for by name")
        elif seen.home is not None:
            choice = at_home(candidates, request, seen.home)
        else:
            choice = seen.policy.choose(candidates, request)
        if len(choice.scores) < len(candidates) and choice.scores:
            seen.excluded.update(not_compared(candidates, choice, request))
        probability, probabilities = choice.probability, choice.probabilities
        if seen.share < 1.0:
            probability *= seen.share
            probabilities = {name: seen.share * own for name, own in probabilities.items()}
        return Decision(
            backend_id=choice.backend_id,
            strategy=strategy,
            route=request.route,
            reason=choice.reason,
            probability=probability,
            compared=choice.scores,
            probabilities=probabilities,
            excluded=seen.excluded,
            candidates=tuple(candidates),
            kind=request.kind,
            panic=seen.panic,
            sampled_from=seen.sampled_from,
        )

    def _policy(self, route: str, strategy: str) -> Policy:
        policy = self._policies.get((route, strategy))
        if policy is None:
            policy = self._make_policy(self.routes[route], strategy)
            self._adopt(route, strategy, policy)
        return policy

    def _adopt(self, route: str, strategy: str, policy: Policy) -> None:
        self._policies[route, strategy] = policy
        self._told = [each.told for each in self._policies.values() if hasattr(each, "told")]
        self._learners = [each for each in self._policies.values() if hasattr(each, "scored")]

    def _teach(self, lease: Lease, outcome: Outcome) -> None:
        """Tell the policies that learn from results; how good an answer was they hear later, through `scored`."""
        for told in self._told:
            told(lease.backend_id, outcome.verdict is _SUCCESS)
        request, decision = lease.request, lease.decision
        own = self._policies.get((request.route, decision.strategy))
        for policy in self._learners:
            policy.attempted(request, decision, outcome, own=policy is own)

    def _tell_change(self, backend: Backend, was: BreakerState) -> None:
        state = backend.breaker.state
        if state is not was:
            self._tell(BackendChanged(backend.id, state.value, backend.breaker.reason, self.clock.wall()))

    def _tell(self, event: Event) -> None:
        for observer in self.observers:
            observer(event)

    def _chain_of(self, route: Route) -> list[list[Tier]]:
        """The route's own backends, then each step of its fallback chain; within each by `priority` and region."""
        steps = (route.backends, *route.fallback)
        return [tiers_of([self.backends[name] for name in step], self.region) for step in steps]


def _teach_anew(fresh: Any, policy: Any) -> None:
    """Tell a policy made otherwise what the former knows; what does not fit its form is left."""
    if hasattr(policy, "state") and hasattr(fresh, "restore"):
        with contextlib.suppress(ValueError):
            fresh.restore(policy.state())
