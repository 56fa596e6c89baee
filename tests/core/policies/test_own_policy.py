"""The worked example of a user's own strategy, as docs/strategies.md prints it."""

import re
from pathlib import Path
from random import Random

from equipoise.core.policies import make_policy
from tests.core.policies.candidates import alike, candidate, choices, unlikely

PAGE = Path(__file__).parents[3] / "docs" / "strategies.md"


def the_example() -> type:
    """The class as printed in the page."""
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    names: dict[str, object] = {}
    exec(compile(block[1], str(PAGE), "exec"), names)
    made = names["LeastBusy"]
    assert isinstance(made, type)
    return made


def test_the_printed_class_is_a_strategy() -> None:
    """It is made with its options and chooses by its rule."""
    policy = make_policy(the_example(), chance=Random(1), options={"reserve": 2.0})
    candidates = [candidate("a", in_flight=3), candidate("b", in_flight=2), candidate("c", limit=3.0)]
    made = choices(policy, candidates, 1)[0]
    assert made.backend_id == "b"
    assert made.scores == {"a": 3.0, "b": 2.0}


def test_an_exploration_floor_goes_with_it() -> None:
    """What composes with every strategy composes with one's own, and its probabilities are exact."""
    policy = make_policy(the_example(), chance=Random(2), options={"exploration_floor": 0.3})
    made = choices(policy, alike("a", "b", "c"), 6000)
    assert made[0].probabilities["b"] == 0.3 / 3
    assert unlikely(made[0].probabilities, made) < 4.0
