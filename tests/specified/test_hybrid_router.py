"""Old and new router behind one face, whatever the old one is like."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest

from lightrag_integration import PRODUCTION_LB_FEATURES, HybridQueryRouter
from tests.specified.conftest import QUESTION, Balance, Start, backend_config


class Decision(Enum):
    PERPLEXITY = "perplexity"


@dataclass
class Prediction:
    """What the earlier router returns: a decision, and nothing sent."""

    routing_decision: Decision = Decision.PERPLEXITY
    confidence: float = 0.7
    reasoning: list[str] = field(default_factory=lambda: ["recent"])


class Plain:
    def route_query(self, query_text: str, context: dict[str, Any] | None = None) -> Prediction:
        return Prediction()


class Coroutine:
    async def route_query_with_health_monitoring(self, query: str, context: dict[str, Any]) -> Prediction:
        return Prediction()


class Answering:
    async def route_query(self, query: str) -> dict[str, Any]:
        return {"response": f"the old answer to {query}", "backend": "graph"}


class Failing:
    def route_query(self, query: str) -> dict[str, Any]:
        return {"success": False, "error": "it fell over"}


async def hybrid(start: Start, balance: Balance, old: object, **flags: bool) -> HybridQueryRouter:
    graph, web = await start("lightrag"), await start("perplexity")
    new = balance(backend_config("graph", "lightrag", graph), backend_config("web", "perplexity", web))
    return HybridQueryRouter(old, new, {**PRODUCTION_LB_FEATURES, **flags})


@pytest.mark.parametrize("old", [Plain(), Coroutine()])
async def test_an_old_router_that_only_decides_has_its_kind_asked(start: Start, balance: Balance, old: object) -> None:
    """Sync or async, by either name: the decision is one result, and the new balancer asks whom it names."""
    router = await hybrid(start, balance, old, real_api_health_checks=False)
    decided = await router.route_query(QUESTION, {})
    assert (decided.source, decided.routing_decision, decided.confidence) == ("old", "perplexity", 0.7)
    assert isinstance(decided.prediction, Prediction)
    assert decided.result is None
    answered = await router.answer_query(QUESTION)
    assert (answered.source, answered.backend_id) == ("old", "web")
    assert answered.text
    assert answered.prediction.reasoning == list(answered.reasoning)


async def test_an_old_router_that_answers_is_not_asked_again(start: Start, balance: Balance) -> None:
    """Its answer is the answer, in the same type."""
    router = await hybrid(start, balance, Answering(), real_api_health_checks=False)
    answered = await router.answer_query("why?")
    assert (answered.source, answered.backend_id, answered.text) == ("old", "graph", "the old answer to why?")


async def test_the_new_side_decides_and_answers_in_the_same_type(start: Start, balance: Balance) -> None:
    """It unpacks as the pair that `select_optimal_backend` gives."""
    router = await hybrid(start, balance, Plain(), multi_instance_support=True)
    backend_id, confidence = await router.route_query(QUESTION, {})
    assert backend_id in ("graph", "web")
    assert 0 < confidence <= 1
    answered = await router.answer_query(QUESTION)
    assert (answered.source, answered.result is not None and answered.result["success"]) == ("new", True)


async def test_failures_of_either_side_are_results_of_answering(start: Start, balance: Balance) -> None:
    """An old router that reports a failure, and a fleet that nobody may be asked in."""
    old = await hybrid(start, balance, Failing(), real_api_health_checks=False)
    assert (await old.answer_query(QUESTION)).result == {"success": False, "error": "the old side failed: it fell over"}
    new = await hybrid(start, balance, Plain())
    for name in list(new.new_lb.balancer.clients):
        await new.route_query(QUESTION)
        new.new_lb.balancer.drain(name)
    result = (await new.answer_query(QUESTION)).result
    assert result is not None
    assert "No available backends" in result["error"]


async def test_a_changed_switch_counts_from_the_next_question_on(start: Start, balance: Balance) -> None:
    """Without a new router, and without forgetting anything."""
    router = await hybrid(start, balance, Plain(), multi_instance_support=True)
    await router.answer_query(QUESTION)
    router.feature_flags["adaptive_learning"] = True
    router.new_lb.update_strategy("adaptive_learning")
    await router.route_query(QUESTION)
    assert router.new_lb.routing_history[-1].strategy == "adaptive_learning"
    router.feature_flags["adaptive_learning"] = False
    await router.route_query(QUESTION)
    assert router.new_lb.routing_history[-1].strategy == "health_aware"
    assert router.new_lb.get_metrics_summary()["total_requests"] == 1
    assert HybridQueryRouter(Plain(), router.new_lb).feature_flags is PRODUCTION_LB_FEATURES
