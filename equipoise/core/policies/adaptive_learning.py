"""Whoever has proven best for questions like this one, at a fair price."""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from equipoise.core.events import AnswerScored
from equipoise.core.model import NANO_PER_USD, Candidate, Chance, Choice, Decision, NanoUSD, Outcome, Request, Verdict
from equipoise.core.policies.comparing import draw, good_enough, lowest, with_room
from equipoise.core.policies.configured import NO_OPTIONS, Configured
from equipoise.core.policies.guard import Guard, static_chance
from equipoise.core.policies.health_aware import HealthAware, of_two, rows_of
from equipoise.core.policies.newcomers import Newcomers, apart
from equipoise.core.policies.thompson import Price, chances_to_win, price_for_budget

if TYPE_CHECKING:
    from equipoise.core.arms import SavedLearner
    from equipoise.core.evidence import Vector
    from equipoise.core.learning import Given

MOST_AWAITED = 10_000
"""Answers whose scores are waited for at once; the oldest are given up."""

PAUSE = 500
"""Questions for which health_aware stands in once learning was worse than it; then learning may show itself again."""


class Awaited(msgspec.Struct):
    """An answer whose score may still come, or come again from a better source.

    `static` is how likely health_aware would have chosen the same backend, `price` what its cost was worth.
    """

    x: Vector
    kind: str
    probability: float
    static: float
    price: float
    own: bool
    given: Given | None = None


class Seen(msgspec.Struct, frozen=True):
    """A scored answer to begin with: whose, of what kind and features the question was, how good the answer."""

    backend_id: str
    kind: str
    features: tuple[float, ...]
    quality: float


class SavedPolicy(msgspec.Struct, frozen=True):
    """What is kept between processes."""

    learner: Any
    price: float
    saved: float
    spent: float
    spent_on_new: float


class AdaptiveLearning(Configured):
    """Choose by Thompson sampling over what each backend has proven for questions like this, less cost and lateness.

    Each backend is chosen exactly as often as it is believed to be the best, so exploration pays only where there is
    doubt, and the logged probabilities are exact: the choice is drawn from the computed vector itself. The value of a
    backend is `quality - price * cost / cost_scale_usd - latency_price * max(0, seconds - slo_seconds) / slo_seconds`.
    `price` is fixed, or paces spending towards `budget_per_request_usd`; the price of a budget that is
    paced comes on top. `boldness` scales the standard deviation of
    what was learned slowly, `restlessness` that of what changed of late; at 0 and 0 the best is chosen and nothing is
    explored. A backend that joins gets at most `newcomer_share` of questions and half of that of all cost until it is
    known. Backends at their concurrency limit are left out unless all are. On any doubt (a number that is none, features
    of another form, answers worse than health_aware's would have been) the choice is health_aware's, and the reason says
    so.
    """

    defaults = MappingProxyType(
        {
            "boldness": 0.2,
            "restlessness": 0.4,
            "newcomer_share": 0.02,
            "memory": 100.0,
            "swing": 25.0,
            "price": 0.02,
            "cost_scale_usd": 0.01,
            "budget_per_request_usd": 0.0,
            "budget_horizon": 10_000.0,
            "latency_price": 0.1,
            "slo_seconds": 20.0,
        }
    )
    divisors = frozenset({"cost_scale_usd", "slo_seconds", "memory", "swing", "budget_horizon"})
    exploration_floor = 0.01

    def __init__(self, *, chance: Chance, options: Mapping[str, float] = NO_OPTIONS) -> None:
        from equipoise.core.learning import Learner  # brings numpy, which nobody else needs
        from equipoise.core.regression import Doubt, Terms

        super().__init__(chance=chance, options=options)
        of = self.options
        self.learner, self._doubt = Learner(Terms(memory=of["memory"], swing=of["swing"])), Doubt
        self._slow, self._level = of["boldness"] ** 2, of["restlessness"] ** 2
        self._explores = bool(self._slow or self._level)
        self._slo, self._latency_price = of["slo_seconds"], of["latency_price"]
        budget = of["budget_per_request_usd"] * NANO_PER_USD
        self._cost_scale = budget or of["cost_scale_usd"] * NANO_PER_USD
        self.price = Price(of["price"], budget, repay=0.05 * of["budget_horizon"])
        self.newcomers = Newcomers(of["newcomer_share"])
        self.guard, self.paused, self.doubts, self.unmatched = Guard(), 0, 0, 0
        self.trouble: str | None = None
        self._answered = self._scored = 0
        self._awaited: OrderedDict[tuple[str, str], Awaited] = OrderedDict()
        self._cautious = HealthAware(chance=chance)

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        if self.paused:
            self.paused -= 1
            return self._cautiously(candidates, request, "learning was worse than this; it is tried again later")
        enough = good_enough(candidates, request) or candidates
        compared = with_room(enough) or enough  # the best answer is no use at the end of a queue
        try:
            x = self.learner.vector(request.features)
            beliefs = {c.backend_id: self._value(c, x) for c in compared}
        except self._doubt as doubt:
            self.doubts += 1
            self.trouble = str(doubt)
            return self._cautiously(candidates, request, f"not learned: {doubt}")
        probabilities = self._probabilities(beliefs) if self._explores else {self._best(compared, beliefs): 1.0}
        chosen = draw(probabilities, self.chance)
        probability = probabilities[chosen]
        reason = f"best for this {request.kind} question with probability {probability:.2f} among {len(beliefs)}"
        return Choice(chosen, {name: b[0] for name, b in beliefs.items()}, reason, probability, probabilities)

    def _probabilities(self, beliefs: Mapping[str, tuple[float, float]]) -> dict[str, float]:
        known, new = apart(beliefs, self.learner.newcomers())
        chances = chances_to_win({name: beliefs[name] for name in known})
        return self.newcomers.let_in(chances, new) if new else chances

    def _best(self, compared: Sequence[Candidate], beliefs: Mapping[str, tuple[float, float]]) -> str:
        """Whoever is believed to be best, for sure, of those that are known: nobody's question is for exploring."""
        known, _ = apart(beliefs, self.learner.newcomers())
        settled = [c for c in compared if c.backend_id in known]
        return lowest(settled, {name: -beliefs[name][0] for name in known}).backend_id

    def affordable(self, candidate: Candidate) -> float:
        """How much of its share of the floor a backend is given: no more than costs that share of the budget."""
        if not self.price.paces or candidate.expected_cost <= self._cost_scale:
            return 1.0
        return self._cost_scale / candidate.expected_cost

    def _cautiously(self, candidates: Sequence[Candidate], request: Request, why: str) -> Choice:
        paid_for = [c for c in candidates if c.expected_cost <= self._cost_scale] if self.price.paces else candidates
        choice = self._cautious.choose(paid_for or candidates, request)
        return msgspec.structs.replace(choice, reason=f"{choice.reason} ({why})")

    def _value(self, c: Candidate, x: Vector) -> tuple[float, float]:
        """Return mean and standard deviation of what an answer from this backend is worth; raises Doubt."""
        of = self.learner.about(c.backend_id, x, c.quality_mean, c.backend_type)
        factor = self.learner.cost_factor(c.backend_id, x)
        cost = factor * c.expected_cost
        mean = of.mean - self.price.value * cost / self._cost_scale - factor * c.penalty
        seconds = c.completion * max(1.0, (c.in_flight + 1) / max(1.0, c.limit))
        if not seconds <= self._slo:  # so that what is no number is not taken for prompt
            mean -= self._latency_price * (seconds - self._slo) / self._slo
        if not -math.inf < mean < math.inf:
            raise self._doubt(f"{c.backend_id} is worth {mean}")
        return mean, math.sqrt(self._slow * of.slow + self._level * of.level)

    def attempted(self, request: Request, decision: Decision, outcome: Outcome, *, own: bool) -> None:
        """Take in what became of an attempt; `own` says that this policy chose it.

        Cost and whether it was answered are known now; how good the answer was may come later, through `scored`.
        """
        if not request.features and self.learner.size > 1:
            return  # nobody described it: a judge's grade, another strategy's question
        name, answered = decision.backend_id, outcome.verdict is Verdict.SUCCESS
        try:
            x = self.learner.vector(request.features)
        except self._doubt as doubt:
            self.trouble = str(doubt)
            return
        expected = next((c.expected_cost for c in decision.candidates if c.backend_id == name), 0)
        cost = outcome.cost + outcome.inner_cost
        ratio = cost / expected if expected else 0.0
        self.learner.attempted(name, request.kind, x, answered=answered, cost_ratio=ratio)
        if own:
            self.price.paid(cost)
            self.newcomers.paid(cost, new=name in self.learner.newcomers())
        static, worth = self._compared(decision) if own else (0.0, 0.0)
        awaited = Awaited(x, request.kind, decision.probability, static, worth * cost, own)
        self._answered += answered
        if not answered:
            # failures are all known, scores only of some answers: so that failures weigh no more, as many are looked at
            if self.chance.random() * self._answered < self._scored:
                self._watch(awaited, 0.0)
            return
        self._awaited[request.id, name] = awaited
        if len(self._awaited) > MOST_AWAITED:
            self._awaited.popitem(last=False)

    def scored(self, event: AnswerScored) -> None:
        """Take in how good an answer was, however late; a better source replaces what an earlier one said.

        Raises ValueError for a quality outside [0, 1]. An answer that is not known (any more) is counted and left.
        """
        awaited = self._awaited.get((event.request_id, event.backend_id))
        if awaited is None:
            self.unmatched += 1
            return
        first = awaited.given is None
        awaited.given = self.learner.learn(event.backend_id, awaited.x, event.quality, event.variance, awaited.given)
        self._scored += first
        if first:
            self._watch(awaited, event.quality)

    def labelled(self, answers: Sequence[Seen], candidates: Mapping[str, Candidate]) -> None:
        """Begin with scored answers of these candidates, and with the price that would have kept the budget.

        Raises Doubt for features of another form, ValueError for a quality outside [0, 1].
        """
        for of in answers:
            x, c = self.learner.vector(of.features), candidates[of.backend_id]
            self.learner.about(of.backend_id, x, c.quality_mean, c.backend_type)
            self.learner.attempted(of.backend_id, of.kind, x, answered=True)
            self.learner.learn(of.backend_id, x, of.quality)
        self.price_for([of.features for of in answers], {name: c.expected_cost for name, c in candidates.items()})

    def price_for(self, questions: Sequence[tuple[float, ...]], expected: Mapping[str, NanoUSD]) -> None:
        """Begin with the price at which these questions would keep the budget, by what is believed now.

        `expected` is the usual cost of each backend. Without a budget nothing changes. Raises Doubt.
        """
        if self.price.paces:
            vectors = [self.learner.vector(features) for features in questions]
            worths = [[self.learner.about(name, x, 0.5).mean for name in expected] for x in vectors]
            costs = [[cost * self.learner.cost_factor(name, x) for name, cost in expected.items()] for x in vectors]
            self.price.begin(price_for_budget(worths, costs, self._cost_scale))

    def _compared(self, decision: Decision) -> tuple[float, float]:
        """How likely health_aware would have chosen the same, and what a nano-dollar is worth now, within reason."""
        worth = min(1.0, self.price.value) / self._cost_scale
        return static_chance(decision, of_two(rows_of(decision.candidates)) if decision.candidates else {}), worth

    def _watch(self, awaited: Awaited, quality: float) -> None:
        """Is what learning chooses worth as much as what would be chosen without?"""
        if not awaited.own:
            return
        self.guard.scored(max(-1.0, quality - awaited.price), awaited.probability, awaited.static)
        if self.guard.lost:
            self.trouble = f"answers were worth {-self.guard.mean:.3f} less than health_aware's would have been"
            self.paused, self.guard = PAUSE, Guard()

    def __deepcopy__(self, memo: dict[int, Any]) -> AdaptiveLearning:
        """A copy to decide with: it draws and begins beliefs by itself, what was learned it reads from the original."""
        twin = copy.copy(self)
        twin.chance, twin._cautious = copy.deepcopy(self.chance, memo), copy.deepcopy(self._cautious, memo)
        twin.learner = self.learner.twin()
        return twin

    def expect(self, features: int) -> bool:
        """Questions have so many features from now on; what was learned from another form is dropped. True if so."""
        wanted, former = features + 1, self.learner
        dropped = former.size not in (0, wanted)
        if dropped:
            self.learner = type(former)(former.terms)
            self._awaited.clear()
        self.learner.size = wanted
        return dropped

    def forget(self, backend_id: str) -> None:
        """Drop the memory of a backend that was removed."""
        self.learner.forget(backend_id)

    def status(self) -> dict[str, Any]:
        """For people: whether learning decides now, if not why, and what it is worth."""
        return {
            "deciding": not self.paused,
            "trouble": self.trouble,
            "doubts": self.doubts,
            "price": self.price.value,
            "awaited": len(self._awaited),
            "unmatched": self.unmatched,
            "against_health_aware": self.guard.status(),
        }

    def state(self) -> dict[str, Any]:
        """Return what was learned here as plain data, for JSON."""
        money = self.newcomers
        saved = SavedPolicy(self.learner.save(), self.price.value, self.price.saved, money.spent, money.spent_on_new)
        builtins: dict[str, Any] = msgspec.to_builtins(saved)
        return builtins

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` returned earlier; raises ValueError, and changes nothing, when it does not fit."""
        saved = msgspec.convert(dict(state), SavedPolicy)
        if not (0.0 < saved.price < math.inf and math.isfinite(saved.saved)):
            raise ValueError(f"a saved price of {saved.price}")
        self.learner.restore(_learner(saved.learner))
        self.price.value, self.price.saved = saved.price, saved.saved
        self.newcomers.spent, self.newcomers.spent_on_new = saved.spent, saved.spent_on_new

    def take_in(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Go by what other processes have learned as well. Raises ValueError, and changes nothing, when it does not fit."""
        from equipoise.core.merging import merge

        learners = [_learner(msgspec.convert(dict(state), SavedPolicy).learner) for state in states]
        if learners:
            others = learners[0]
            for one in learners[1:]:
                others = merge(others, one, self.learner.terms.memory)
            self.learner.take_in(others)


def _learner(data: Any) -> SavedLearner:
    from equipoise.core.arms import SavedLearner

    return msgspec.convert(data, SavedLearner)
