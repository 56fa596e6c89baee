"""Promises of weighted."""

from random import Random

import pytest

from equipoise.core.policies.weighted import Weighted
from tests.core.policies.candidates import choices, shares, unlikely, weighing


def test_the_probability_is_exactly_the_share_of_the_weight() -> None:
    """Five, three and two make a half, three tenths and a fifth."""
    made = choices(Weighted(chance=Random(1)), weighing(a=5.0, b=3.0, c=2.0), 1)[0]
    assert made.probabilities == {"a": 0.5, "b": 0.3, "c": 0.2}
    assert made.probability == made.probabilities[made.backend_id]


def test_shares_follow_the_weights() -> None:
    """Over many requests what is chosen agrees with what is promised."""
    made = choices(Weighted(chance=Random(2)), weighing(a=2.0, b=1.8, c=0.2), 20_000)
    assert unlikely(made[0].probabilities, made) < 4.0


def test_without_weight_nobody_is_chosen_while_another_has_some() -> None:
    """A weight of zero at run time drains a backend."""
    assert shares(choices(Weighted(chance=Random(3)), weighing(a=0.0, b=1.0), 500)) == {"b": 1.0}


def test_if_nobody_has_weight_everybody_is_equally_likely() -> None:
    """A question is answered even then."""
    made = choices(Weighted(chance=Random(4)), weighing(a=0.0, b=0.0), 1)[0]
    assert made.probabilities == {"a": 0.5, "b": 0.5}


def test_weights_may_change_at_any_time() -> None:
    """Each decision looks at the weights of its own candidates."""
    policy = Weighted(chance=Random(5))
    choices(policy, weighing(a=1.0, b=9.0), 10)
    assert choices(policy, weighing(a=3.0, b=1.0), 1)[0].probabilities == pytest.approx({"a": 0.75, "b": 0.25})
