"""What another configuration would have chosen on recorded decisions, and what that would have come to."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from equipoise.build import own_policies, price_of
from equipoise.build.learning import kinds_told_apart
from equipoise.build.policies import policies_of
from equipoise.build.routes import routes_of
from equipoise.config import Config
from equipoise.core import replay
from equipoise.core.events import AnswerScored
from equipoise.core.features import USUAL, Describer
from equipoise.core.model import (
    NANO_PER_USD,
    CostSource,
    Decision,
    Message,
    Outcome,
    Policy,
    Question,
    Request,
    Verdict,
)
from equipoise.core.pricing import Price, cost_of
from equipoise.core.replay import Finding, Recorded
from equipoise.core.routing import Route
from equipoise.stores.decisions import StoredDecision

SOMETHING = Question(messages=[Message("user", "")])
NOT_WORSE = 0.01
"""Quality that may be lost at most for a policy to count as no worse: a point."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """One policy against the record: each measure over everything and by kind of question.

    `left_out` counts decisions that say nothing here, by reason; `doubt` is why the record itself cannot be believed.
    """

    name: str
    decisions: int
    measures: dict[str, Finding]
    kinds: dict[str, dict[str, Finding]]
    left_out: dict[str, int]
    doubt: str | None
    chosen: dict[str, float]

    @property
    def verdict(self) -> tuple[bool, str]:
        """Is it no worse in quality by more than a point, as far as the record can tell? And why (not)."""
        found = self.measures.get("quality") or self.measures.get("errors")
        if self.doubt:
            return False, f"the record cannot be believed: {self.doubt}"
        if found is None:
            return False, "there is no recorded decision to judge by"
        if found.refusal:
            floor = f"; an exploration_floor of {found.floor:g} would have given it" if found.floor else ""
            return False, f"not enough support: {found.refusal}{floor}"
        return _judged(found)


def _judged(found: Finding) -> tuple[bool, str]:
    better = (
        found.change
        if found.measure == "quality"
        else replay.Interval(-found.change.value, -found.change.high, -found.change.low)
    )
    told = f"{found.measure} {found.doubly_robust.value:.3f} instead of {found.recorded.value:.3f}"
    told += f" ({found.change.low:+.3f} to {found.change.high:+.3f}, worth {found.effective:.0f} decisions)"
    if better.low >= 0.0:
        return True, f"better: {told}"
    if better.low >= -NOT_WORSE:
        return True, f"no worse: {told}"
    return False, f"{'worse' if better.high < 0.0 else 'not shown to be no worse'}: {told}"


def replayed(name: str, config: Config, decisions: Sequence[StoredDecision], seed: int = 1) -> Replayed:
    """Judge a configuration's routes, strategies, weights and prices by recorded decisions."""
    left_out: Counter[str] = Counter()
    routes = routes_of(config)
    known = [one for one in decisions if _can_be_judged(one, routes, left_out)]
    prices = _Prices(config, known)
    target = _target(config, routes, known, prices, seed)
    log = [_recorded(one, prices) for one in known]
    return Replayed(
        name=name,
        decisions=len(known),
        measures=replay.findings(log, target),
        kinds=replay.by_kind(log, target),
        left_out=dict(left_out),
        doubt=replay.misfit(log),
        chosen=_shares(target),
    )


def each_alone(decisions: Sequence[StoredDecision]) -> dict[str, dict[str, Finding]]:
    """What asking always the same backend would have come to, for each that was ever a candidate."""
    log = recorded(decisions)
    names = sorted({name for one in log for name in one.able})
    return {name: replay.alone(name, log) for name in names}


def recorded(decisions: Sequence[StoredDecision]) -> list[Recorded]:
    """Decisions as replay has them."""
    return [_recorded(one, None) for one in decisions]


def _can_be_judged(one: StoredDecision, routes: Mapping[str, Route], left_out: Counter[str]) -> bool:
    route = routes.get(one.route)
    if route is None:
        left_out[f"its configuration has no route {one.route}"] += 1
        return False
    if one.session is not None and route.sticky:
        left_out["the session decided"] += 1
        return False
    if route.prefix_characters and not one.probabilities:  # what of these the strategy chose is not recorded
        left_out["the beginning of the prompt may have decided"] += 1
        return False
    if not any(c.backend_id in route.backends for c in one.candidates):
        left_out["none of the candidates is on its route"] += 1
        return False
    return True


def _target(
    config: Config, routes: Mapping[str, Route], decisions: Sequence[StoredDecision], prices: _Prices, seed: int
) -> list[Mapping[str, float]]:
    """The probabilities that the other configuration's policies give, in the order of time; those that learn do learn."""
    chance = random.Random(seed)  # noqa: S311 - a policy's own chance
    make = policies_of(chance, own_policies(config, routes))
    policies = {name: make(route, route.strategy) for name, route in routes.items()}
    describer = Describer(kinds=kinds_told_apart(config))
    told = [_asked(one, routes[one.route], number, describer) for number, one in enumerate(decisions)]
    return [
        _chances(one, request, routes[one.route], policies, config, prices)
        for one, request in zip(decisions, told, strict=True)
    ]


def _chances(
    one: StoredDecision,
    request: Request,
    route: Route,
    policies: Mapping[str, Policy],
    config: Config,
    prices: _Prices,
) -> Mapping[str, float]:
    candidates = [
        msgspec.structs.replace(
            c,
            weight=config.backend_instances[c.backend_id].weight,
            expected_cost=round(c.expected_cost * prices.ratio(c.backend_id)),
        )
        for c in one.candidates
        if c.backend_id in route.backends
    ]
    if not candidates:
        return {one.backend_id: 1.0}
    choice = policies[one.route].choose(candidates, request)
    for policy in policies.values():
        _teach(policy, one, request, prices)
    return choice.probabilities or {choice.backend_id: 1.0}


def _asked(one: StoredDecision, route: Route, number: int, describer: Describer) -> Request:
    return Request(
        id=f"replayed-{number}",
        question=SOMETHING,
        route=one.route,
        kind=one.kind,
        input_tokens=one.question_tokens,
        min_quality=route.min_quality,
        features=describer.recalled(one.features, one.kind),
    )


def _teach(policy: Any, one: StoredDecision, request: Request, prices: _Prices) -> None:
    """A policy that learns is told what was seen, after it has chosen; of what nobody scored, only that it was answered.

    None of it was its own choice, so that its price stays where it began.
    """
    if hasattr(policy, "told"):
        policy.told(one.backend_id, one.answered)
    if not hasattr(policy, "scored"):
        return
    verdict = Verdict.SUCCESS if one.answered else Verdict.FAILURE
    outcome = Outcome(verdict=verdict, duration=one.seconds or 0.0, cost=prices.cost(one), usage=one.usage)
    policy.attempted(request, _decision(one), outcome, own=False)
    if one.answered and one.quality is not None:
        policy.scored(_score(one, request))


def _decision(one: StoredDecision) -> Decision:
    return Decision(
        backend_id=one.backend_id,
        strategy=one.strategy,
        route=one.route,
        reason="recorded",
        probability=one.probabilities.get(one.backend_id, 0.0),
        compared={},
        probabilities=one.probabilities,
        excluded={},
        candidates=one.candidates,
        kind=one.kind,
    )


def _score(one: StoredDecision, request: Request) -> AnswerScored:
    return AnswerScored(
        request_id=request.id,
        attempt=1,
        backend_id=one.backend_id,
        route=one.route,
        tenant="",
        kind=one.kind,
        role="answer",
        quality=min(1.0, max(0.0, one.quality or 0.0)),
        variance=0.0,
        source="recorded",
    )


def _recorded(one: StoredDecision, prices: _Prices | None) -> Recorded:
    return Recorded(
        backend_id=one.backend_id,
        probabilities=one.probabilities,
        able=frozenset(one.probabilities).union(c.backend_id for c in one.candidates),
        kind=one.kind,
        features=tuple(one.features[name] for name in USUAL) if one.features.keys() >= USUAL.keys() else (),
        answered=one.answered,
        quality=one.quality,
        cost=(one.cost if prices is None else prices.cost(one)) / NANO_PER_USD,
        seconds=one.seconds,
        first_token=one.first_token,
    )


class _Prices:
    """What recorded answers would have cost under another configuration; what an upstream metered stays as it was."""

    def __init__(self, config: Config, decisions: Sequence[StoredDecision]) -> None:
        self._prices: dict[str, Price | None] = {name: price_of(of) for name, of in config.backend_instances.items()}
        before, after = Counter[str](), Counter[str]()
        for one in decisions:
            before[one.backend_id] += one.cost
            after[one.backend_id] += self.cost(one)
        self._ratios = {name: after[name] / before[name] for name in before if before[name]}

    def cost(self, one: StoredDecision) -> int:
        """Of one answer, in nano-dollars."""
        price = self._prices.get(one.backend_id)
        if one.cost_source is CostSource.METERED or price is None or not one.answered:
            return one.cost
        return cost_of(price, one.usage)

    def ratio(self, backend_id: str) -> float:
        """By how much a backend's answers are dearer than they were."""
        return self._ratios.get(backend_id, 1.0)


def _shares(target: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: Counter[str] = Counter()
    for row in target:
        total.update(row)
    return {name: total[name] / len(target) for name in sorted(total)} if target else {}


def points(alone: Mapping[str, Mapping[str, Finding]]) -> dict[str, tuple[float, float]]:
    """Quality and cost of each backend by itself, where the record says enough of both."""
    found = {}
    for name, measures in alone.items():
        quality, cost = measures.get("quality"), measures.get("cost_usd")
        if quality is not None and cost is not None and not (quality.refusal or cost.refusal):
            value, dollars = quality.doubly_robust.value, cost.doubly_robust.value
            if math.isfinite(value) and math.isfinite(dollars):
                found[name] = (value, dollars)
    return found
