"""Promises of adaptive_learning."""

import json
from collections import Counter
from random import Random

import pytest

from equipoise.core.model import Policy
from equipoise.core.policies import make_policy
from equipoise.core.policies.adaptive_learning import AdaptiveLearning
from tests.core.policies.candidates import a_request, alike, candidate, choices, shares, unlikely

Truth = dict[tuple[str, str], float]


def live(policy: Policy, truth: Truth, kinds: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Ask so many questions of these kinds; the reward scatters around the truth. Returns (kind, chosen)."""
    chance, made = Random(seed), []
    backends = sorted({name for name, _ in truth})
    candidates = alike(*backends, quality_mean=0.7, quality_sd=0.1)
    for _ in range(count):
        request = a_request(kind=chance.choice(kinds))
        chosen = policy.choose(candidates, request).backend_id
        reward = min(1.0, max(0.0, chance.gauss(truth[chosen, request.kind], 0.15)))
        policy.learn(chosen, request, reward, None, 0)  # type: ignore[attr-defined]
        made.append((request.kind, chosen))
    return made


def share_of(made: list[tuple[str, str]], kind: str, backend: str) -> float:
    """How much of a kind a backend got."""
    of_kind = Counter(chosen for k, chosen in made if k == kind)
    return of_kind[backend] / of_kind.total()


TWO_KINDS: Truth = {
    ("graph", "metabolomics"): 0.9,
    ("graph", "current_research"): 0.4,
    ("web", "metabolomics"): 0.6,
    ("web", "current_research"): 0.9,
    ("plain", "metabolomics"): 0.6,
    ("plain", "current_research"): 0.5,
}


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_the_best_backend_for_each_kind(seed: int) -> None:
    """After some hundred rewards nine in ten questions go where their kind is answered best."""
    policy = make_policy("adaptive_learning", chance=Random(seed))
    made = live(policy, TWO_KINDS, ["metabolomics", "current_research"], 1200, seed)[600:]
    assert share_of(made, "metabolomics", "graph") > 0.9
    assert share_of(made, "current_research", "web") > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_it_follows_a_silent_change(seed: int) -> None:
    """A favourite that becomes bad without failing is left within some hundred questions, and found again later."""
    policy = make_policy("adaptive_learning", chance=Random(seed))
    before = {("a", "general"): 0.9, ("b", "general"): 0.75}
    after = {("a", "general"): 0.5, ("b", "general"): 0.75}
    assert share_of(live(policy, before, ["general"], 800, seed)[400:], "general", "a") > 0.9
    assert share_of(live(policy, after, ["general"], 600, seed + 9)[300:], "general", "b") > 0.9
    assert share_of(live(policy, before, ["general"], 3000, seed + 19)[2500:], "general", "a") > 0.8


def test_evidence_about_one_kind_moves_the_others() -> None:
    """A backend that fails at everything asked so far is not trusted blindly with the next kind."""
    policy = AdaptiveLearning(chance=Random(1))
    candidates = alike("a", "b")
    choices(policy, candidates, 1, kind="review")
    for _ in range(50):
        policy.learn("a", a_request(kind="review"), 0.0)
    assert choices(policy, candidates, 1, kind="methodology")[0].probabilities["a"] < 0.1


def test_what_is_chosen_agrees_with_what_is_promised() -> None:
    """The logged probabilities equal the frequencies over many requests, the floor included."""
    policy = make_policy("adaptive_learning", chance=Random(3), options={"exploration_floor": 0.05})
    candidates = [candidate("a"), candidate("b", quality_mean=0.78), candidate("c", quality_mean=0.4)]
    made = choices(policy, candidates, 10_000)
    assert unlikely(made[0].probabilities, made) < 4.0
    assert made[0].probabilities["c"] == pytest.approx(0.05 / 3)


def test_the_dearer_of_two_equals_is_avoided() -> None:
    """Cost has a price in quality."""
    policy = AdaptiveLearning(chance=Random(4), options={"price": 0.3})
    made = choices(policy, [candidate("dear", expected_cost=10_000_000), candidate("cheap")], 1)[0]
    assert made.probabilities["dear"] < 0.01


def test_pacing_raises_the_price_until_spending_fits() -> None:
    """With a budget of 2 millidollars a question the backend of 5 is used for a part of the questions only."""
    policy = AdaptiveLearning(chance=Random(5), options={"budget_per_request_usd": 0.002, "price": 0.001})
    costs = {"good": 5_000_000, "cheap": 500_000}
    candidates = [
        candidate(n, expected_cost=c, quality_mean=0.9 if n == "good" else 0.7, quality_sd=0.01)
        for n, c in costs.items()
    ]
    spent = []
    for _ in range(4000):
        chosen = policy.choose(candidates, a_request()).backend_id
        spent.append(costs[chosen])
        policy.learn(chosen, a_request(), 0.9 if chosen == "good" else 0.7, None, costs[chosen])
    assert spent[0] == costs["good"]
    assert sum(spent[2000:]) / 2000 == pytest.approx(2_000_000, rel=0.1)


def test_an_answer_that_comes_too_late_is_worth_less() -> None:
    """Up to the objective seconds do not matter, beyond they do."""
    policy = AdaptiveLearning(chance=Random(6), options={"slo_seconds": 10.0, "latency_price": 0.5})
    prompt = choices(policy, [candidate("a", completion=9.0), candidate("b")], 1)[0]
    assert prompt.probabilities["a"] == pytest.approx(0.5)
    late = choices(policy, [candidate("a", completion=30.0), candidate("b")], 1)[0]
    assert late.probabilities["a"] < 0.01


def test_the_floor_of_quality_holds() -> None:
    """A backend below the request's minimum is not sampled, whatever is believed of it."""
    candidates = [candidate("a", quality_mean=0.99, quality_low=0.5), candidate("b")]
    assert shares(choices(AdaptiveLearning(chance=Random(7)), candidates, 100, min_quality=0.7)) == {"b": 1.0}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_on_any_doubt_the_choice_is_the_health_aware_one(number: float) -> None:
    """A number that is none makes no decision, and the reason says why."""
    candidates = [candidate("a", completion=number), candidate("b", health=0.25)]
    made = choices(AdaptiveLearning(chance=Random(8)), candidates, 1)[0]
    assert made.probabilities == pytest.approx({"a": 0.8, "b": 0.2})
    assert "not learned" in made.reason


def test_what_was_learned_outlives_the_process() -> None:
    """State goes through JSON into a fresh policy, which then promises the same."""
    old = AdaptiveLearning(chance=Random(9), options={"budget_per_request_usd": 0.001})
    live(old, TWO_KINDS, ["metabolomics", "current_research"], 200, 1)
    new = AdaptiveLearning(chance=Random(10), options={"budget_per_request_usd": 0.001})
    new.restore(json.loads(json.dumps(old.state())))
    candidates = alike("graph", "web", "plain")
    promised = choices(old, candidates, 1, kind="metabolomics")[0].probabilities
    assert choices(new, candidates, 1, kind="metabolomics")[0].probabilities == promised
    assert new.price.value == old.price.value


@pytest.mark.parametrize("state", [{}, {"learner": {}, "price": 1.0}, {"learner": 3, "price": 1.0}])
def test_a_state_that_does_not_fit_is_refused(state: dict[str, object]) -> None:
    """Garbage raises, and the policy goes on as before."""
    policy = AdaptiveLearning(chance=Random(11))
    with pytest.raises(ValueError):
        policy.restore(state)
    assert choices(policy, alike("a", "b"), 1)[0].probabilities == pytest.approx({"a": 0.5, "b": 0.5})


def test_a_removed_backend_is_forgotten() -> None:
    """Its successor of the same name starts from the operator's word."""
    policy = AdaptiveLearning(chance=Random(12))
    for _ in range(30):
        policy.learn("a", a_request(), 0.0)
    policy.forget("a")
    assert choices(policy, alike("a", "b"), 1)[0].probabilities == pytest.approx({"a": 0.5, "b": 0.5})
