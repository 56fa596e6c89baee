"""What the learner believes, and how it forgets, saves and merges."""

import json
from random import Random

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.arms import SavedLearner
from equipoise.core.features import NO_EMBEDDING, TOLD_APART, USUAL
from equipoise.core.learning import Learner
from equipoise.core.merging import merge
from equipoise.core.regression import Doubt, Regression, Terms

Reward = tuple[str, tuple[float, float], float, float]
PLAIN = (0.0,) * (len(USUAL) + len(NO_EMBEDDING) + len(TOLD_APART))
EVERY = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.tuples(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0)),
        st.floats(0.0, 1.0),
        st.floats(0.0, 1.0),
    ),
    max_size=40,
)


def taught(rewards: list[Reward]) -> Learner:
    """A learner that has taken these in, of questions with two features."""
    learner = Learner()
    for name, features, reward, variance in rewards:
        x = learner.vector(features)
        learner.about(name, x, 0.7)
        learner.attempted(name, "general", x, answered=reward > 0.1, cost_ratio=reward)
        learner.learn(name, x, reward, variance)
    return learner


def through_json(learner: Learner) -> SavedLearner:
    """What comes back from where states are kept."""
    return msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(learner.save()))), SavedLearner)


def numbers(learner: Learner, names: str = "abc") -> list[float]:
    """Everything it would say."""
    told: list[float] = []
    for name in names:
        for features in ((0.0, 0.0), (1.0, -2.0)):
            x = learner.vector(features)
            of = learner.about(name, x, 0.7)
            told += [of.mean, of.slow, of.level, learner.cost_factor(name, x)]
    return told


def test_before_any_evidence_the_operator_is_believed() -> None:
    """The mean is the configured quality, and the doubt is that of ten answers."""
    learner = Learner()
    of = learner.about("a", learner.vector(()), 0.7)
    assert of.mean == pytest.approx(0.7)
    assert of.slow == pytest.approx(0.0225 / 10.0)


def test_recency_and_graph_words_are_a_prior_of_the_engines_made_for_them() -> None:
    """Before any answer the web is a little better at what is new, a graph at relations; others are as configured."""
    learner = Learner()
    recent, related = list(PLAIN), list(PLAIN)
    recent[list(USUAL).index("recency")] = related[list(USUAL).index("graph")] = 3.0
    for name, kind in (("web", "perplexity"), ("graph", "lightrag"), ("llm", "local_llm")):
        learner.about(name, learner.vector(PLAIN), 0.7, kind)
    new = {name: learner.about(name, learner.vector(tuple(recent)), 0.7).mean for name in ("web", "graph", "llm")}
    tied = {name: learner.about(name, learner.vector(tuple(related)), 0.7).mean for name in ("web", "graph", "llm")}
    assert new["web"] > new["graph"] == pytest.approx(0.7)
    assert tied["graph"] > tied["web"] == pytest.approx(0.7)
    assert new["llm"] == tied["llm"] == pytest.approx(0.7)


def test_rewards_outweigh_the_prior_and_doubt_shrinks() -> None:
    """After many rewards the mean is theirs and the uncertainty small."""
    learner, chance = Learner(), Random(1)
    x = learner.vector((0.0,))
    doubt = learner.about("a", x, 0.7).sd
    for _ in range(400):
        learner.learn("a", x, min(1.0, max(0.0, chance.gauss(0.4, 0.15))))
    of = learner.about("a", x, 0.7)
    assert of.mean == pytest.approx(0.4, abs=0.06)
    assert of.slow**0.5 < doubt / 3


def test_a_doubtful_reward_counts_less() -> None:
    """A guess with a variance moves the belief less than a measurement."""
    means = []
    for variance in (0.0, 0.2):
        learner = Learner()
        x = learner.vector((0.0,))
        learner.about("a", x, 0.7)
        learner.learn("a", x, 0.0, variance)
        means.append(learner.about("a", x, 0.7).mean)
    assert means[0] < means[1] < 0.7


def test_answers_nobody_scored_are_missing_and_not_bad() -> None:
    """A thousand answers without a score and none that failed leave the quality where it was."""
    learner = Learner()
    x = learner.vector((0.0,))
    before = learner.about("a", x, 0.7).mean
    for _ in range(1000):
        learner.attempted("a", "general", x, answered=True)
    assert learner.about("a", x, 0.7).mean == before


def test_failures_weigh_against_all_answers_not_against_the_scored_ones() -> None:
    """One in ten fails and one in twenty answers is scored 0.8: asking is worth 0.9 x 0.8, not less."""
    learner = Learner()
    x = learner.vector((0.0,))
    learner.about("a", x, 0.8)
    for number in range(2000):
        learner.attempted("a", "general", x, answered=number % 10 != 0)
        if number % 20 == 1:
            learner.learn("a", x, 0.8)
    assert learner.about("a", x, 0.8).mean == pytest.approx(0.72, abs=0.01)


def test_what_an_engine_cannot_answer_is_learned_by_features() -> None:
    """An engine that has nothing on one sort of question is avoided for that sort only."""
    learner = Learner()
    known, unknown = learner.vector((2.0,)), learner.vector((-2.0,))
    learner.about("a", known, 0.8)
    for _ in range(100):
        learner.attempted("a", "general", known, answered=True)
        learner.attempted("a", "general", unknown, answered=False)
    assert learner.about("a", known, 0.8).mean > 0.7
    assert learner.about("a", unknown, 0.8).mean < 0.2


def test_a_better_source_replaces_what_an_earlier_one_said() -> None:
    """A judge's word instead of a proxy's: as if the proxy had never spoken, however many rewards came between."""
    learner, other = Learner(), Learner()
    x, y = learner.vector((1.0, 0.5)), other.vector((1.0, 0.5))
    first = learner.learn("a", x, 0.9, 0.04)
    for _ in range(20):
        learner.learn("a", x, 0.5)
    learner.learn("a", x, 0.1, 0.0, first)
    other.learn("a", y, 0.1, 0.0)
    for _ in range(20):
        other.learn("a", y, 0.5)
    told, right = learner.arms["a"].quality, other.arms["a"].quality
    assert told.about(x, 21) == pytest.approx(right.about(y, 21), rel=1e-6)
    assert learner.arms["a"].scored == 21


def test_a_silent_change_is_followed_and_found_again() -> None:
    """Within a hundred rewards the mean has come more than half of the way, after a long good time."""
    learner, chance = Learner(), Random(2)
    x = learner.vector((0.0,))

    def live(quality: float, count: int) -> float:
        for _ in range(count):
            learner.learn("a", x, min(1.0, max(0.0, chance.gauss(quality, 0.1))))
        return learner.about("a", x, 0.7).mean

    assert live(0.9, 1500) == pytest.approx(0.9, abs=0.02)
    assert live(0.4, 100) < 0.65
    assert live(0.9, 100) > 0.75


def test_how_much_backends_differ_is_learned_from_all_of_them() -> None:
    """What all find hard is common; where one is simply better, no difference between questions is made up."""
    learner, chance = Learner(), Random(3)
    for _ in range(300):
        features = tuple(chance.gauss(0.0, 1.0) for _ in range(12))
        x = learner.vector(features)
        for name, base in (("good", 0.8), ("bad", 0.6)):
            quality = base + 0.1 * features[0] + chance.gauss(0.0, 0.1)
            learner.learn(name, x, min(1.0, max(0.0, quality)))
    assert learner.ridge >= 160.0
    assert learner.common[1] == pytest.approx(0.1, abs=0.03)
    apart = []
    for _ in range(200):
        x = learner.vector(tuple(chance.gauss(0.0, 1.0) for _ in range(12)))
        apart.append(learner.about("good", x, 0.7).mean - learner.about("bad", x, 0.7).mean)
    assert 0.1 < min(apart) < max(apart) < 0.3


def test_a_newcomer_is_believed_to_be_like_its_kind_and_counts_for_little() -> None:
    """Its prior is the mean of those of its type, worth five answers."""
    learner = Learner()
    x = learner.vector((0.0,))
    learner.about("old", x, 0.9, "lightrag")
    for _ in range(60):
        learner.learn("old", x, 0.5)
    of = learner.about("new", x, 0.99, "lightrag")
    other = learner.about("alien", x, 0.99, "perplexity")
    assert of.mean == pytest.approx(learner.about("old", x, 0.9).mean, abs=0.05)
    assert other.mean == pytest.approx(0.99)
    assert sorted(learner.newcomers()) == ["alien", "new"]


def test_what_a_question_costs_is_learned_by_features() -> None:
    """Long questions cost four times what a backend's questions are expected to, short ones a fourth."""
    learner = Learner()
    long, short = learner.vector((1.5,)), learner.vector((-1.5,))
    for _ in range(200):
        learner.attempted("a", "general", long, answered=True, cost_ratio=4.0)
        learner.attempted("a", "general", short, answered=True, cost_ratio=0.25)
    assert learner.cost_factor("a", long) == pytest.approx(4.0, rel=0.2)
    assert learner.cost_factor("a", short) == pytest.approx(0.25, rel=0.2)
    assert learner.cost_factor("nobody", long) == 1.0


@settings(max_examples=40)
@given(EVERY)
def test_no_rewards_make_a_belief_that_is_none(rewards: list[Reward]) -> None:
    """Whatever is learned in whatever order, variances stay positive and means near the rewards' range."""
    learner = taught(rewards)
    for name in "abc":
        of = learner.about(name, learner.vector((0.5, -0.5)), 0.7)
        assert of.slow >= 0.0
        assert of.level > 0.0
        assert -0.5 < of.mean < 1.6


@settings(max_examples=40)
@given(EVERY)
def test_state_goes_through_json_unchanged(rewards: list[Reward]) -> None:
    """What is restored believes the same and goes on learning the same."""
    old, new = taught(rewards), Learner()
    new.restore(through_json(old))
    if old.size:
        for learner in (old, new):
            learner.learn("a", learner.vector((1.0, 1.0)), 0.5)
        assert numbers(new) == pytest.approx(numbers(old), rel=1e-5, abs=1e-7)
    assert new.save() == through_json(new)


@settings(max_examples=40)
@given(EVERY, EVERY)
def test_two_processes_know_together_what_one_would(first: list[Reward], second: list[Reward]) -> None:
    """The slow sums of a merger are those of one process that saw everything; the order is no matter."""
    one, other, both = taught(first), taught(second), taught(first + second)
    if not first or not second:
        return
    together = merge(one.save(), other.save(), 100.0)
    assert together == merge(other.save(), one.save(), 100.0)
    merged, alone = Learner(), both
    merged.restore(together)
    for name in {reward[0] for reward in first + second}:
        theirs, own = merged.arms[name].quality.own, alone.arms[name].quality.own
        if all(reward[3] == 0.0 for reward in first + second):  # weights depend on what was measured in between
            assert np.allclose(theirs.gram, own.gram)
            assert np.allclose(theirs.moment, own.moment)
        assert theirs.count == own.count


def test_what_others_learned_is_believed_but_not_saved_as_ones_own() -> None:
    """Otherwise it would come back from them, and count again and again."""
    one, other = Learner(), Learner()
    for _ in range(80):
        other.learn("a", other.vector((0.0,)), 0.2)
    one.learn("a", one.vector((0.0,)), 0.8)
    before = one.save()
    for _ in range(3):
        one.take_in(other.save())
    assert one.about("a", one.vector((0.0,)), 0.7).mean < 0.35
    assert one.save().arms["a"].quality == before.arms["a"].quality


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    """Another version, another form of features, numbers that are none: refused whole."""
    learner = taught([("a", (1.0, 1.0), 0.5, 0.0)])
    good, before = msgspec.to_builtins(learner.save()), numbers(learner, "a")
    arm = good["arms"]["a"]
    poisoned = {**arm["quality"], "moment": "////////////////"}
    for state in (
        {**good, "version": 99},
        {**good, "features": 99},
        {**good, "size": 2},
        {**good, "arms": {"a": {**arm, "quality": poisoned}}},
        {**good, "arms": {"a": {**arm, "billed": -1.0}}},
    ):
        with pytest.raises(ValueError):
            learner.restore(msgspec.convert(state, SavedLearner))
    assert numbers(learner, "a") == before


@pytest.mark.parametrize(("reward", "variance"), [(1.1, 0.0), (-0.1, 0.0), (float("nan"), 0.0), (0.5, -1.0)])
def test_a_reward_that_is_none_is_refused(reward: float, variance: float) -> None:
    """Nothing outside [0, 1] enters a belief."""
    learner = Learner()
    with pytest.raises(ValueError, match="reward"):
        learner.learn("a", learner.vector(()), reward, variance)


def test_features_of_another_form_and_priors_that_are_no_numbers_are_doubt() -> None:
    """They raise instead of poisoning the belief for good."""
    learner = Learner()
    x = learner.vector((1.0, 2.0))
    with pytest.raises(Doubt):
        learner.about("a", x, float("nan"))
    with pytest.raises(Doubt):
        learner.vector((1.0, 2.0, 3.0))
    assert learner.about("a", x, 0.7).mean == pytest.approx(0.7)


def test_steps_and_inversion_agree() -> None:
    """The rank-one steps between two inversions give what inverting anew gives."""
    chance = Random(5)
    regression = Regression(np.array([0.5, 0.0, 0.0]), 10.0, Terms())
    rows = [np.array([1.0, chance.gauss(0, 1), chance.gauss(0, 1)]) for _ in range(200)]
    for tick, x in enumerate(rows, start=1):
        regression.learn(x, chance.random(), 0.5 + chance.random(), tick)
    stepped = regression.about(rows[0], 210)
    regression.take_in(None)
    assert regression.about(rows[0], 210) == pytest.approx(stepped, rel=1e-8)
