"""How much of what was paid was needed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.efficiency import MOST_PARENTS, CostEfficiency
from equipoise.core.events import AttemptEnded
from equipoise.core.model import Attempt, Candidate, CostSource, Decision, Outcome, Verdict

WALL = 1_790_000_000.0


def candidate(name: str, cost: int, quality: float) -> Candidate:
    numbers: dict[str, Any] = dict.fromkeys(Candidate.__struct_fields__, 0.5)
    return Candidate(**numbers | {"backend_id": name, "in_flight": 0, "expected_cost": cost, "quality_low": quality})


def paid(
    name: str = "r", *, cost: int = 0, chosen: str = "graph", among: dict[str, int] | None = None, answered: bool = True,
    priced: bool = True, quality: float = 0.9, **more: Any,
) -> AttemptEnded:  # fmt: skip
    """An attempt at one of several, whose expected costs are given; only the chosen one has the quality given."""
    among = among or {"graph": 10, "web": 1}
    candidates = tuple(candidate(each, of, quality if each == chosen else 0.5) for each, of in among.items())
    return AttemptEnded(
        Attempt(
            request_id=name, number=1, wall=WALL, tenant="t", tags=(), backend_id=chosen, backend_type="", model="",
            stream=False,
            decision=Decision(
                backend_id=chosen, strategy="s", route="auto", reason="", probability=1.0, compared={}, probabilities={},
                excluded={}, candidates=candidates,
            ),
            outcome=Outcome(
                verdict=Verdict.SUCCESS if answered else Verdict.FAILURE, duration=1.0, cost=cost,
                cost_source=CostSource.PRICED if priced else CostSource.UNPRICED,
            ),
            **more,
        )
    )  # fmt: skip


def ratio(*events: AttemptEnded, floor: float = 0.0) -> float | None:
    it = CostEfficiency(3600.0, lambda route: floor)
    for event in events:
        it.observe(event)
    return it.ratio(WALL + 1.0)


def call(parent: str, cost: int, among: dict[str, int] | None = None) -> AttemptEnded:
    return paid("call", cost=cost, chosen="model", among=among or {"model": 5}, parent=parent)


def test_the_dear_answer_is_measured_against_the_cheapest_that_was_good_enough() -> None:
    """Ten where one would have done; ten where only ten was good enough; a failure was for nothing; the unpriced is not seen."""
    assert ratio(paid(cost=1000)) == pytest.approx(0.1)
    assert ratio(paid(cost=1000), floor=0.8) == 1.0
    assert ratio(paid(cost=1000, chosen="web")) == 1.0
    assert ratio(paid(cost=1000, chosen="web"), paid(cost=1000, answered=False)) == 0.5
    assert ratio(paid(cost=1000, priced=False)) is None


def test_what_a_graph_asked_for_an_answer_is_part_of_its_cost() -> None:
    """Its own record costs nothing, its calls 1000; the web would have answered for a tenth of it."""
    calls = [call("r", 600), call("r", 400)]
    assert ratio(*calls, paid("r", cost=0)) == pytest.approx(0.1)
    assert ratio(*calls, paid("r", cost=0), floor=0.8) == 1.0
    assert ratio(*calls, paid("r", cost=0, answered=False)) == 0.0


def test_a_graph_whose_own_calls_were_dear_could_have_been_cheaper_itself() -> None:
    """It was the only one good enough, and its model five times as dear as the other of that route."""
    assert ratio(call("r", 1000, {"model": 5, "small": 1}), paid("r", cost=0), floor=0.4) == pytest.approx(0.1)
    only = {"graph": 10}
    assert ratio(call("r", 1000, {"model": 5, "small": 1}), paid("r", cost=0, among=only)) == pytest.approx(0.2)


def test_calls_of_questions_that_never_end_are_forgotten() -> None:
    """They count as not needed, and take no room for ever."""
    it = CostEfficiency(3600.0, lambda route: 0.0)
    for number in range(MOST_PARENTS + 50):
        it.observe(call(f"r{number}", 10))
    assert len(it._inner) == MOST_PARENTS
    assert it.ratio(WALL) == 0.0


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 10**12), st.booleans(), st.booleans(), st.integers(1, 10**9)),
        min_size=1,
    )
)
def test_it_is_a_share(events: list[tuple[str, int, bool, bool, int]]) -> None:
    """Whatever comes in whatever order: never below nothing, never above all."""
    told = ratio(
        *(
            call(name, cost, {"model": dear, "small": 5})
            if inner
            else paid(name, cost=cost, answered=answered, among={"graph": dear, "web": 7})
            for name, cost, inner, answered, dear in events
        )
    )
    assert told is None or 0.0 <= told <= 1.0


def test_another_window_begins_empty_and_the_same_one_goes_on() -> None:
    """As a changed configuration is taken over."""
    it = CostEfficiency(3600.0, lambda route: 0.0)
    it.observe(paid(cost=10))
    it.follow(CostEfficiency(3600.0, lambda route: 0.0, target=0.6))
    assert it.status(WALL) == {"ratio": pytest.approx(0.1), "target": 0.6, "window_hours": 1.0}
    it.follow(CostEfficiency(7200.0, lambda route: 0.0))
    assert it.ratio(WALL) is None


def test_what_is_older_than_the_window_does_not_count() -> None:
    """A dear hour is forgotten after it."""
    it = CostEfficiency(3600.0, lambda route: 0.0)
    old = msgspec.structs.replace(paid(cost=10).attempt, wall=WALL - 4000.0)
    it.observe(AttemptEnded(old))
    it.observe(paid(cost=10, chosen="web"))
    assert it.ratio(WALL + 1.0) == 1.0
