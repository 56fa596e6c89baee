"""The product's own policy, driven as the gateway drives it: choose, attempted, scored."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from bench.routing.data import Table
from equipoise.core.events import AnswerScored
from equipoise.core.model import NANO_PER_USD, Candidate, Decision, Outcome, Question, Request, Verdict
from equipoise.core.policies import make_policy

NOTHING = Question(messages=[])
PRIOR = 0.7  # the operator's word on every model: nothing is known
BEFORE = 5.0  # answers that the first guess of a cost counts for


class Product:
    """adaptive_learning over the models of a table. Costs are expected to be what they were on average so far."""

    def __init__(self, models: Sequence[str], budget: float, *, seed: int, horizon: int, **options: float) -> None:
        own = {"price": 0.3, "budget_per_request_usd": budget, "budget_horizon": float(horizon), **options}
        self.models, self.budget = list(models), budget
        self.policy = make_policy("adaptive_learning", chance=Random(seed), options=own)
        self._costs = {model: [budget * BEFORE, BEFORE] for model in models}
        self._asked = 0

    def warm(self, table: Table, features: Sequence[tuple[float, ...]], kinds: Sequence[str]) -> None:
        """Learn from questions that every model answered, and find the price that fits the budget on them."""
        self._costs = {m: [float(table.costs[:, j].sum()), float(len(table))] for j, m in enumerate(self.models)}
        for i in range(len(table)):
            for j in range(len(self.models)):
                self._take_in(features[i], kinds[i], j, table.rewards[i, j], table.costs[i, j], own=False)
        expected = {model: self._expected(model) for model in self.models}
        self.policy.price_for(list(features), expected)  # type: ignore[attr-defined]

    def choose(self, features: tuple[float, ...], kind: str) -> int:
        """The number of the model that is asked."""
        self._asked += 1
        self.request = Request(id=str(self._asked), question=NOTHING, features=features, kind=kind)
        self.candidates = [self._candidate(model) for model in self.models]
        self.choice = self.policy.choose(self.candidates, self.request)
        return self.models.index(self.choice.backend_id)

    def learn(self, features: tuple[float, ...], kind: str, model: int, reward: float, cost: float) -> None:
        """What the answer was worth and cost."""
        self._take_in(features, kind, model, reward, cost, own=True)

    def _take_in(
        self, features: tuple[float, ...], kind: str, model: int, reward: float, cost: float, *, own: bool
    ) -> None:
        name = self.models[model]
        if own:
            request, choice = self.request, self.choice
            probability, probabilities = choice.probability, choice.probabilities
            self._costs[name][0] += cost
            self._costs[name][1] += 1.0
        else:
            self._asked += 1
            request = Request(id=str(self._asked), question=NOTHING, features=features, kind=kind)
            probability, probabilities = 1.0, {}
        decision = Decision(
            backend_id=name,
            strategy="adaptive_learning",
            route="auto",
            reason="",
            probability=probability,
            compared={},
            probabilities=probabilities,
            excluded={},
            candidates=tuple(self.candidates) if own else (self._candidate(name),),
            kind=kind,
        )
        outcome = Outcome(verdict=Verdict.SUCCESS, duration=1.0, cost=round(cost * NANO_PER_USD))
        self.policy.attempted(request, decision, outcome, own=own)  # type: ignore[attr-defined]
        self.policy.scored(  # type: ignore[attr-defined]
            AnswerScored(
                request_id=request.id,
                attempt=1,
                backend_id=name,
                route="auto",
                tenant="default",
                kind=kind,
                role="answer",
                quality=float(reward),
                variance=0.0,
                source="judge",
            )
        )

    def _expected(self, model: str) -> int:
        total, count = self._costs[model]
        return round(total / count * NANO_PER_USD)

    def _candidate(self, model: str) -> Candidate:
        return Candidate(
            backend_id=model,
            weight=1.0,
            in_flight=0,
            limit=10.0,
            health=1.0,
            load=1.0,
            completion=1.0,
            expected_cost=self._expected(model),
            quality_mean=PRIOR,
            quality_sd=0.1,
            quality_low=PRIOR,
            reliability=1.0,
            response_time=1.0,
            success_rate=1.0,
            effective_weight=1.0,
            seconds_per_token=0.01,
            backend_type="openai_direct",
        )
