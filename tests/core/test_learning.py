"""What the learner believes and how it forgets."""

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.features import KINDS
from equipoise.core.learning import OFFSET_VARIANCE, SWING_VARIANCE, Doubt, Learner


def asked(learner: Learner, backend: str = "a", kind: str = "general") -> tuple[float, float]:
    """The belief about a backend whose operator said 0.7 ± 0.1."""
    return learner.about(backend, kind, 0.7, 0.1)


def test_before_any_evidence_the_operator_is_believed() -> None:
    """The mean is the configured one, the doubt his plus that between kinds."""
    mean, sd = asked(Learner())
    assert mean == pytest.approx(0.7)
    assert sd == pytest.approx((0.1**2 + SWING_VARIANCE + OFFSET_VARIANCE) ** 0.5)


def test_rewards_outweigh_the_prior_and_doubt_shrinks() -> None:
    """After many rewards the mean is theirs and the uncertainty small."""
    learner, chance = Learner(), Random(1)
    doubt = asked(learner)[1]
    for _ in range(400):
        learner.learn("a", "general", min(1.0, max(0.0, chance.gauss(0.4, 0.15))))
    mean, sd = asked(learner)
    assert mean == pytest.approx(0.4, abs=0.06)
    assert sd < doubt / 3
    assert learner.observed("a") == 400


def test_one_reward_counts_as_the_formula_says() -> None:
    """Prior variance .023, noise .0225: the mean moves by .023 / .0455 of the surprise."""
    learner = Learner()
    asked(learner)
    learner.learn("a", "general", 0.2)
    assert asked(learner)[0] == pytest.approx(0.7 - 0.5 * 0.023 / 0.0455, abs=1e-3)


def test_a_doubtful_reward_counts_less() -> None:
    """A guess with a variance moves the belief less than a measurement."""
    sure, unsure = Learner(), Learner()
    for learner, variance in ((sure, 0.0), (unsure, 0.2)):
        asked(learner)
        learner.learn("a", "general", 0.0, variance)
    assert asked(sure)[0] < asked(unsure)[0] < 0.7


def test_kinds_are_told_apart_and_inform_each_other() -> None:
    """What is bad at one kind is bad there, and a little suspect elsewhere."""
    learner = Learner()
    asked(learner)
    for _ in range(200):
        learner.learn("a", "review", 0.2)
    assert asked(learner, kind="review")[0] == pytest.approx(0.2, abs=0.05)
    assert 0.2 < asked(learner, kind="methodology")[0] < 0.6


def test_evidence_about_one_backend_says_nothing_about_another() -> None:
    """Beliefs are kept apart."""
    learner = Learner()
    asked(learner, "b")
    for _ in range(50):
        learner.learn("a", "general", 0.0)
    assert asked(learner, "b")[0] == pytest.approx(0.7)


def test_doubt_returns_about_what_was_not_seen_for_long_but_not_without_end() -> None:
    """Ten thousand rewards of others later a backend is doubtful again, but less than when nothing was known."""
    learner = Learner()
    at_first = asked(learner)[1]
    for _ in range(300):
        learner.learn("a", "general", 0.7)
    sure = asked(learner)[1]
    for _ in range(10_000):
        learner.learn("b", "general", 0.7)
    assert 2.0 * sure < asked(learner)[1] < at_first


def test_an_unknown_kind_is_judged_by_the_level() -> None:
    """An operator's own kind has no offset yet; it is believed like the backend in general."""
    learner = Learner()
    learner.learn("a", "cooking", 0.9)
    assert 0.5 < asked(learner, kind="cooking")[0] < 0.9


@given(st.lists(st.tuples(st.sampled_from([*KINDS, "cooking"]), st.floats(0.0, 1.0), st.floats(0.0, 1.0)), max_size=60))
def test_no_rewards_make_a_belief_that_is_none(rewards: list[tuple[str, float, float]]) -> None:
    """Whatever is learned in whatever order, variances stay positive and means near the rewards' range."""
    learner = Learner()
    asked(learner)
    for kind, reward, variance in rewards:
        learner.learn("a", kind, reward, variance)
    for kind in KINDS:
        mean, sd = asked(learner, kind=kind)
        assert 0.0 <= sd < 0.2
        assert -0.5 < mean < 1.5


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(KINDS), st.floats(0.0, 1.0)), max_size=20))
def test_state_goes_through_json_unchanged(rewards: list[tuple[str, str, float]]) -> None:
    """What is restored believes the same and goes on learning the same."""
    old = Learner()
    for backend, kind, reward in rewards:
        old.learn(backend, kind, reward)
    new = Learner()
    new.restore(json.loads(json.dumps(old.state())))
    for learner in (old, new):
        learner.learn("a", "review", 0.5)
    assert [asked(new, b, k) for b in "ab" for k in KINDS] == [asked(old, b, k) for b in "ab" for k in KINDS]


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    """Another version, other kinds, a wrong shape or a number that is none: refused whole."""
    learner = Learner()
    learner.learn("a", "review", 0.9)
    good, before = learner.state(), asked(learner)
    belief = good["beliefs"]["a"]
    broken = [
        {**good, "version": 99},
        {**good, "kinds": ["other"]},
        {**good, "beliefs": {"a": {**belief, "means": [0.5]}}},
        {**good, "beliefs": {"a": {**belief, "means": [float("nan")] * len(belief["means"])}}},
        {**good, "beliefs": {"a": {**belief, "covariance": [[-1.0] * 7] * 7}}},
        {"version": 1},
    ]
    for state in broken:
        with pytest.raises(ValueError):
            learner.restore(state)
    assert asked(learner) == before


@pytest.mark.parametrize(("reward", "variance"), [(1.1, 0.0), (-0.1, 0.0), (float("nan"), 0.0), (0.5, -1.0)])
def test_a_reward_that_is_none_is_refused(reward: float, variance: float) -> None:
    """Nothing outside [0, 1] enters a belief."""
    with pytest.raises(ValueError, match="reward"):
        Learner().learn("a", "general", reward, variance)


def test_a_prior_that_is_no_number_is_doubt() -> None:
    """It raises instead of poisoning the belief for good."""
    learner = Learner()
    with pytest.raises(Doubt):
        learner.about("a", "general", float("nan"), 0.1)
    assert asked(learner)[0] == pytest.approx(0.7)
