"""Whoever has proven best for this kind of question, at a fair price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

import msgspec

from equipoise.core.learning import Doubt, Learner
from equipoise.core.model import NANO_PER_USD, Candidate, Chance, Choice, NanoUSD, Request
from equipoise.core.policies.comparing import draw, good_enough, with_room
from equipoise.core.policies.configured import NO_OPTIONS, Configured
from equipoise.core.policies.health_aware import HealthAware
from equipoise.core.policies.thompson import Price, chances_to_win


class SavedPolicy(msgspec.Struct, frozen=True):
    """What is kept between processes."""

    learner: dict[str, Any]
    price: Annotated[float, msgspec.Meta(ge=0.0, le=1e300)]


class AdaptiveLearning(Configured):
    """Choose by Thompson sampling over what each backend has proven for this kind of question, less cost and lateness.

    Each backend is chosen exactly as often as it is believed to be the best, so exploration pays only where there is
    doubt, and the logged probabilities are exact: the choice is drawn from the computed vector itself. The value of a
    backend is `quality - price * cost / cost_scale_usd - latency_price * max(0, seconds - slo_seconds) / slo_seconds`.
    `price` is fixed, or paces spending towards `budget_per_request_usd`; a paced budget's own price comes on top; `boldness` scales the standard deviations that
    are sampled from. Backends at their concurrency limit are left out unless all are. On any doubt (a number that is
    none) the choice is the health-aware one, and the reason says so.
    """

    defaults = MappingProxyType(
        {
            "boldness": 0.5,
            "price": 0.02,
            "cost_scale_usd": 0.01,
            "budget_per_request_usd": 0.0,
            "latency_price": 0.1,
            "slo_seconds": 20.0,
        }
    )
    divisors = frozenset({"cost_scale_usd", "slo_seconds"})
    exploration_floor = 0.01

    def __init__(self, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> None:
        super().__init__(chance=chance, options=options)
        self.learner = Learner()
        self._boldness, self._slo = self.options["boldness"], self.options["slo_seconds"]
        self._latency_price = self.options["latency_price"]
        budget = self.options["budget_per_request_usd"] * NANO_PER_USD
        self._cost_scale = budget or self.options["cost_scale_usd"] * NANO_PER_USD
        self.price = Price(self.options["price"], budget)
        self._cautious = HealthAware(chance=chance)

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        enough = good_enough(candidates, request) or candidates
        compared = with_room(enough) or enough  # the best answer is no use at the end of a queue
        try:
            beliefs = {c.backend_id: self._value(c, request.kind) for c in compared}
        except Doubt as doubt:
            choice = self._cautious.choose(candidates, request)
            return Choice(
                choice.backend_id,
                choice.scores,
                f"{choice.reason} (not learned: {doubt})",
                choice.probability,
                choice.probabilities,
            )
        probabilities = chances_to_win(beliefs)
        chosen = draw(probabilities, self.chance)
        probability = probabilities[chosen]
        reason = f"best for {request.kind} questions with probability {probability:.2f} among {len(beliefs)}"
        return Choice(chosen, {name: b[0] for name, b in beliefs.items()}, reason, probability, probabilities)

    def _value(self, c: Candidate, kind: str) -> tuple[float, float]:
        """Return mean and standard deviation of what an answer from this backend is worth; raises Doubt."""
        mean, sd = self.learner.about(c.backend_id, kind, c.quality_mean, c.quality_sd)
        mean -= self.price.value * c.expected_cost / self._cost_scale + c.penalty
        seconds = c.completion * max(1.0, (c.in_flight + 1) / max(1.0, c.limit))
        if not seconds <= self._slo:  # so that what is no number is not taken for prompt
            mean -= self._latency_price * (seconds - self._slo) / self._slo
        if not -math.inf < mean < math.inf:
            raise Doubt(f"{c.backend_id} is worth {mean}")
        return mean, sd * self._boldness

    def learn(
        self,
        backend_id: str,
        request: Request,
        reward: float,
        variance: float | None = None,
        cost: NanoUSD | None = None,
    ) -> None:
        """Take in how good an answer was (0 for a failure that is the backend's fault) and what it cost.

        `variance` is the uncertainty of the reward itself. Raises ValueError for a reward outside [0, 1]. A missing
        reward is not 0: then do not call.
        """
        self.learner.learn(backend_id, request.kind, reward, variance or 0.0)
        if cost is not None:
            self.price.paid(cost)

    def forget(self, backend_id: str) -> None:
        """Drop the memory of a backend that was removed."""
        self.learner.forget(backend_id)

    def state(self) -> dict[str, Any]:
        """Return what was learned as plain data, for JSON."""
        return {"learner": self.learner.state(), "price": self.price.value}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned earlier; raises ValueError, and changes nothing, when it does not fit."""
        saved = msgspec.convert(dict(state), SavedPolicy)
        self.learner.restore(saved.learner)
        self.price.value = saved.price
