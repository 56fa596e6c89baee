"""Promises of adaptive_learning."""

import copy
import json
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.model import Candidate, Choice, Decision, Outcome, Verdict
from equipoise.core.policies import make_policy
from equipoise.core.policies.adaptive_learning import AdaptiveLearning
from equipoise.core.routing import Route
from tests.core.policies.candidates import (
    KINDS,
    a_request,
    alike,
    answer,
    candidate,
    choices,
    scored,
    seen_as,
    shares,
    unlikely,
)

Truth = dict[tuple[str, str], float]


def live(policy: Any, truth: Truth, kinds: list[str], count: int, seed: int) -> list[tuple[str, str]]:
    """Ask so many questions of these kinds; the reward scatters around the truth. Returns (kind, chosen)."""
    chance, made = Random(seed), []
    backends = sorted({name for name, _ in truth})
    candidates = alike(*backends, quality_mean=0.7, quality_sd=0.1)
    for number in range(count):
        kind = chance.choice(kinds)
        request = a_request(id=f"r{number}", kind=kind, features=seen_as(kind))
        choice = policy.choose(candidates, request)
        chosen = choice.backend_id
        reward = min(1.0, max(0.0, chance.gauss(truth[chosen, kind], 0.15)))
        answer(policy, chosen, reward, request=request, decision=decided(choice, candidates))
        made.append((kind, chosen))
    return made


def decided(choice: Choice, candidates: list[Candidate]) -> Decision:
    """The record of a choice."""
    return Decision(
        backend_id=choice.backend_id,
        strategy="adaptive_learning",
        route="auto",
        reason=choice.reason,
        probability=choice.probability,
        compared=choice.scores,
        probabilities=choice.probabilities,
        excluded={},
        candidates=tuple(candidates),
    )


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
    assert share_of(live(policy, after, ["general"], 600, seed + 9)[300:], "general", "b") > 0.85
    assert share_of(live(policy, before, ["general"], 3000, seed + 19)[2500:], "general", "a") > 0.8


def test_evidence_about_one_kind_moves_the_others() -> None:
    """A backend that fails at everything asked so far is not trusted blindly with the next kind."""
    policy = AdaptiveLearning(chance=Random(1))
    candidates = alike("a", "b")
    review, other = ({"kind": kind, "features": seen_as(kind)} for kind in ("review", "methodology"))
    choices(policy, candidates, 1, **review)
    for number in range(50):
        answer(policy, "a", 0.0, request=a_request(id=str(number), **review))
    assert choices(policy, candidates, 1, **other)[0].probabilities["a"] < 0.1


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
    options = {"budget_per_request_usd": 0.002, "price": 0.001, "budget_horizon": 4000.0}
    policy = AdaptiveLearning(chance=Random(5), options=options)
    costs = {"good": 5_000_000, "cheap": 500_000}
    candidates = [candidate(n, expected_cost=c, quality_mean=0.9 if n == "good" else 0.7) for n, c in costs.items()]
    spent = []
    for number in range(4000):
        request = a_request(id=str(number))
        choice = policy.choose(candidates, request)
        spent.append(costs[choice.backend_id])
        quality = 0.9 if choice.backend_id == "good" else 0.7
        cost = costs[choice.backend_id]
        answer(policy, choice.backend_id, quality, request=request, cost=cost, decision=decided(choice, candidates))
    assert spent[0] == costs["good"]
    assert sum(spent) / 4000 == pytest.approx(2_000_000, rel=0.05)


def test_the_floor_costs_no_more_than_its_share_of_the_budget() -> None:
    """A backend of five hundred times the budget is explored five hundred times less, but it is, and that is logged."""
    options = {"budget_per_request_usd": 0.001, "exploration_floor": 0.01}
    policy = make_policy("adaptive_learning", chance=Random(6), options=options)
    candidates = [candidate("dear", expected_cost=500_000_000, quality_mean=0.1), candidate("b")]
    made = choices(policy, candidates, 1)[0]
    assert made.probabilities["dear"] == pytest.approx(0.005 / 500.0)
    assert sum(made.probabilities.values()) == pytest.approx(1.0)


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
    asked = {"kind": "metabolomics", "features": seen_as("metabolomics")}
    promised = choices(old, candidates, 1, **asked)[0].probabilities
    assert choices(new, candidates, 1, **asked)[0].probabilities == pytest.approx(promised, abs=1e-6)
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
    for number in range(30):
        answer(policy, "a", 0.0, request=a_request(id=str(number)))
    policy.forget("a")
    assert choices(policy, alike("a", "b"), 1)[0].probabilities == pytest.approx({"a": 0.5, "b": 0.5}, abs=0.01)


def test_a_score_finds_its_answer_however_late_and_a_better_one_replaces_it() -> None:
    """Scores are joined by request and backend; one for an answer nobody knows is counted and changes nothing."""
    policy = AdaptiveLearning(chance=Random(13))
    for number in range(500):
        answer(policy, "a", 0.8, request=a_request(id=str(number)))
    seen = policy.learner.arms["a"].scored
    policy.scored(scored("0", "a", 0.2))
    policy.scored(scored("0", "b", 0.2))
    policy.scored(scored("unknown", "a", 0.2))
    assert (policy.learner.arms["a"].scored, policy.unmatched) == (seen, 2)


def test_memory_of_answers_that_wait_for_a_score_is_bounded() -> None:
    """The oldest are given up."""
    policy = AdaptiveLearning(chance=Random(14))
    for number in range(10_050):
        request = a_request(id=str(number))
        policy.attempted(
            request,
            decided(Choice("a", {}, ""), []),
            Outcome(verdict=Verdict.SUCCESS, duration=1.0),
            own=True,
        )
    assert policy.status()["awaited"] == 10_000


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 1.0), st.sampled_from(KINDS)), max_size=30),
    st.sampled_from(["off", "shadow"]),
    st.floats(0.0, 0.5),
)
def test_where_live_questions_are_not_for_exploring_the_best_is_chosen_always(
    rewards: list[tuple[str, float, str]], explore: str, floor: float
) -> None:
    """Whatever was learned and whatever floor is configured: one choice, with certainty, and it has the best value."""
    route = Route(
        name="clinic", backends=("a", "b", "c"), strategy="adaptive_learning", explore=explore, exploration_floor=floor
    )
    policy = make_policy("adaptive_learning", chance=Random(15), options=route.options_of("adaptive_learning"))
    for number, (name, reward, kind) in enumerate(rewards):
        answer(policy, name, reward, request=a_request(id=str(number), features=seen_as(kind)))
    made = choices(policy, alike("a", "b", "c"), 20, features=seen_as("review"))
    assert len({choice.backend_id for choice in made}) == 1
    assert made[0].probability == 1.0
    assert made[0].scores[made[0].backend_id] == max(made[0].scores.values())


def test_a_newcomer_is_tried_a_little_however_poor_it_looks_and_no_more_than_it_may_cost() -> None:
    """Two in a hundred questions, until it is known or has cost a hundredth of everything."""
    policy = AdaptiveLearning(chance=Random(16), options={"newcomer_share": 0.02})
    known, new = candidate("known", quality_mean=0.9), candidate("new", quality_mean=0.2)
    policy.choose([known], a_request())
    for number in range(100):
        answer(policy, "known", 0.9, request=a_request(id=str(number)), cost=1_000)
    assert choices(policy, [known, new], 1)[0].probabilities["new"] == pytest.approx(0.02, abs=1e-3)
    answer(policy, "new", 0.2, request=a_request(id="dear"), cost=1_000_000)
    assert choices(policy, [known, new], 1)[0].probabilities["new"] < 0.001


@pytest.mark.parametrize(("options", "most"), [({}, 0.021), ({"boldness": 0.0, "restlessness": 0.0}, 0.0)])
def test_a_newcomer_gets_no_more_however_good_it_looks(options: dict[str, float], most: float) -> None:
    """What is hoped of it is no proof; where live questions are not for exploring it gets none, unless it is alone."""
    policy = AdaptiveLearning(chance=Random(18), options=options)
    known, new = candidate("known", quality_mean=0.3), candidate("new", quality_mean=0.99, backend_type="lightrag")
    policy.choose([known], a_request())
    for number in range(100):
        answer(policy, "known", 0.3, request=a_request(id=str(number)), cost=1_000)
    choice = choices(policy, [known, new], 1)[0]
    assert choice.scores["new"] > choice.scores["known"]
    assert choice.probabilities.get("new", 0.0) <= most
    assert choices(policy, [new], 1)[0].backend_id == "new"


def test_learning_that_is_worse_than_its_stand_in_is_paused_and_says_so() -> None:
    """It keeps choosing what turns out worthless: health_aware decides for a while, and status tells why."""
    policy = make_policy("adaptive_learning", chance=Random(17), options={"exploration_floor": 0.3})
    candidates, paused = alike("a", "b", quality_mean=0.7), []
    for number in range(3000):
        request = a_request(id=str(number))
        choice = policy.choose(candidates, request)
        worth = 0.0 if choice.scores and choice.backend_id == max(choice.scores, key=choice.scores.__getitem__) else 1.0
        answer(policy, choice.backend_id, worth, request=request, decision=decided(choice, candidates))
        paused.append("tried again later" in choice.reason)
    assert any(paused)
    assert "less than health_aware" in policy.status()["trouble"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(3))
def test_learning_that_is_better_is_left_alone(seed: int) -> None:
    """However often one looks."""
    policy = make_policy("adaptive_learning", chance=Random(seed))
    live(policy, TWO_KINDS, ["metabolomics", "current_research"], 1500, seed)
    assert policy.status()["trouble"] is None  # type: ignore[attr-defined]
    assert policy.status()["against_health_aware"]["gain"] > 0.0  # type: ignore[attr-defined]


def test_features_of_another_form_are_doubt_and_not_an_error() -> None:
    """Saved by a gateway with other kinds of question: health_aware decides, and status says so."""
    policy = AdaptiveLearning(chance=Random(18))
    choices(policy, alike("a", "b"), 1, features=(1.0, 2.0))
    made = choices(policy, alike("a", "b"), 1, features=(1.0,))[0]
    assert "not learned" in made.reason
    assert policy.status()["doubts"] == 1


def test_a_copy_to_explain_with_changes_nothing() -> None:
    """Its draws and the beliefs it begins are its own."""
    policy = AdaptiveLearning(chance=Random(19))
    twin = copy.deepcopy(policy)
    choices(twin, alike("a", "b"), 5)
    assert policy.learner.arms == {}
    assert policy.chance.getstate() == Random(19).getstate()
