"""Statistics of decisions and results, in the specification's form."""

from __future__ import annotations

from equipoise.backends.base import BackendError
from equipoise.balancer import Unanswered
from equipoise.core.model import Verdict
from equipoise.telemetry.routing_statistics import ENOUGH, RoutingStatistics, confidence_of
from tests.fakes import ScriptedClient, answer, balancer, request

BROKEN = BackendError(Verdict.FAILURE, "broken", status=500)


class Wall:
    now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_decisions_and_results_of_the_last_hours_are_counted() -> None:
    """Every attempt of a strategy is a decision; success rates are shares of results, older ones are left out."""
    wall = Wall()
    statistics = RoutingStatistics(wall=wall)
    it, _ = balancer({"a": ScriptedClient(answer()), "b": ScriptedClient(BROKEN)})
    it.observers.append(statistics.observe)
    for _ in range(4):
        await it.answer(request())
    told = statistics.over(24)
    assert told["total_decisions"] == sum(told["backend_usage"].values())
    assert told["success_rates"]["a"] == 1.0
    assert told["success_rates"]["b"] == 0.0
    assert abs(sum(told["backend_usage_percentage"].values()) - 100.0) < 1e-9
    assert 0.0 < told["avg_confidence_score"] <= 1.0
    wall.now += 2 * 3600
    assert statistics.over(1)["total_decisions"] == 0
    assert statistics.over(1)["avg_decision_time_ms"] is None
    assert statistics.over(3)["total_decisions"] == told["total_decisions"]


async def test_a_pinned_question_is_a_result_of_whoever_chose_it() -> None:
    """Decide first, send pinned later: the decision counts once and its strategy gets the credit."""
    statistics = RoutingStatistics()
    it, _ = balancer({"a": ScriptedClient(answer())})
    it.observers.append(statistics.observe)
    decision = it.decide("hello")
    statistics.decided(decision, 0.001)
    asked = request(pinned="a")
    statistics.credit(asked.id, decision.strategy)
    await it.answer(asked)
    assert statistics.over(24)["total_decisions"] == 1
    row = statistics.by_strategy(24)["round_robin"]
    assert (row["decisions"], row["results"], row["success_rate"]) == (1, 1, 1.0)
    assert confidence_of(decision) == decision.candidates[0].health


async def test_another_strategy_is_better_only_beyond_doubt() -> None:
    """A few lucky answers prove nothing; many do."""
    statistics = RoutingStatistics()
    good, _ = balancer({"a": ScriptedClient(answer())}, strategy="weighted")
    bad, _ = balancer({"a": ScriptedClient(BROKEN)})
    for it in (good, bad):
        it.observers.append(statistics.observe)
    for count in (3, ENOUGH):
        assert statistics.better_than("round_robin", 24) is None
        for _ in range(count):
            await good.answer(request())
            try:
                await bad.answer(request())
            except Unanswered:
                continue
    while statistics.by_strategy(24)["round_robin"]["results"] < ENOUGH:
        it, _ = balancer({"a": ScriptedClient(BROKEN)})
        it.observers.append(statistics.observe)
        try:
            await it.answer(request())
        except Unanswered:
            continue
    assert statistics.better_than("round_robin", 24) == "weighted"
    assert statistics.better_than("weighted", 24) is None
