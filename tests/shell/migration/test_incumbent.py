"""Old routers of every kind, used as they are."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import pytest

from equipoise.backends.base import BackendError, Finished, TextDelta
from equipoise.core.model import Answer, Usage, Verdict
from equipoise.migration import Answerer, IncumbentClient, read_result
from tests.fakes import ScriptedClient, answer, price, request


class Decision(enum.Enum):
    LIGHTRAG = "lightrag"
    EITHER = "either"
    NOWHERE = "nowhere"


@dataclass
class RoutingPrediction:
    """The shape of the earlier router's result: a decision, nothing answered."""

    routing_decision: Decision
    confidence: float = 0.82
    reasoning: list[str] = field(default_factory=lambda: ["graph terms", "no dates"])
    metadata: dict[str, Any] = field(default_factory=lambda: {"selected_backend": "lightrag_primary"})


class SyncRouter:
    def route_query(self, query_text: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
        return {"answer": f"{query_text} for {(context or {})['session']}", "citations": ["https://example.org/1"]}


class AsyncRouter:
    async def route_query_with_health_monitoring(self, query: str) -> str:
        return f"healthy: {query}"

    def route_query(self, query: str) -> str:
        raise AssertionError("the other method is the better one")


class Deciding:
    def __init__(self, decision: Decision) -> None:
        self.decision = decision

    def route_query(self, query_text: str, context: object = None) -> RoutingPrediction:
        return RoutingPrediction(self.decision)


ASKED = request("What is lactate?", session="s-1")


async def test_a_plain_router_runs_beside_the_loop_and_sees_the_context() -> None:
    """Its mapping becomes an answer with its sources."""
    found = await IncumbentClient(SyncRouter()).send(ASKED, 5.0)
    assert (found.text, found.citations[0].url) == ("What is lactate? for s-1", "https://example.org/1")


async def test_an_asynchronous_router_is_awaited_and_health_monitoring_is_preferred() -> None:
    """Without a second parameter it gets no context."""
    assert (await IncumbentClient(AsyncRouter()).send(ASKED, 5.0)).text == "healthy: What is lactate?"


async def test_a_callable_is_a_router_too_and_streams_in_one_piece() -> None:
    """A lambda, streamed: one piece and the end."""
    client = IncumbentClient(lambda text: text.upper())
    items = [item async for item in client.stream(ASKED, 5.0)]
    assert isinstance(items[0], TextDelta)
    assert isinstance(items[-1], Finished)
    assert items[0].text == "WHAT IS LACTATE?"


def test_what_cannot_route_is_refused_when_it_is_named() -> None:
    """Not with the first question."""
    with pytest.raises(ValueError, match="route_query"):
        IncumbentClient(object())


@pytest.mark.parametrize(("decision", "who"), [(Decision.LIGHTRAG, "graph"), (Decision.EITHER, "graph")])
async def test_a_router_that_only_decides_is_answered_for(decision: Decision, who: str) -> None:
    """By the backend of that kind, at its price; `either` by the first."""
    clients = {"graph": ScriptedClient(answer("graph")), "web": ScriptedClient(answer("web"))}
    ours = {
        "lightrag": Answerer(clients["graph"], price(1.0)),
        "perplexity": Answerer(clients["web"], price(2.0)),
    }
    found = await IncumbentClient(Deciding(decision), ours).send(ASKED, 5.0)
    assert (found.text, found.metered_cost) == (who, 30_000)
    assert [len(client.asked) for client in clients.values()] == [1, 0]


async def test_a_decision_nobody_can_answer_is_no_answer_and_costs_nothing() -> None:
    """Its words say what was decided."""
    with pytest.raises(BackendError, match="nowhere") as caught:
        await IncumbentClient(Deciding(Decision.NOWHERE), {}).send(ASKED, 5.0)
    assert caught.value.verdict is Verdict.NO_ANSWER


async def test_what_an_old_router_raises_is_its_failure() -> None:
    """Neither swallowed nor passed on raw."""

    def broken(text: str) -> str:
        raise KeyError("config")

    with pytest.raises(BackendError, match="KeyError") as caught:
        await IncumbentClient(broken).send(ASKED, 5.0)
    assert caught.value.verdict is Verdict.FAILURE


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("plain", "plain"),
        (Answer(text="ours", usage=Usage()), "ours"),
        ({"success": True, "response": "flat"}, "flat"),
        ({"response": {"choices": [{"message": {"content": "nested"}}]}}, "nested"),
        ({"choices": [{"message": {"content": "openai"}}]}, "openai"),
        ({"result": {"text": "deeper"}}, "deeper"),
        (RoutingPrediction(Decision.LIGHTRAG), None),
        (("lightrag_primary", 0.9), None),
    ],
)
def test_results_of_every_shape_are_read(result: object, text: str | None) -> None:
    """Text where there is any, else the decision; the original is always kept."""
    found = read_result(result)
    assert (found.text, found.original) == (text, result)


def test_a_prediction_keeps_what_the_router_said() -> None:
    """Decision, backend, confidence and reasons."""
    found = read_result(RoutingPrediction(Decision.LIGHTRAG))
    assert (found.routing_decision, found.backend_id, found.confidence) == ("lightrag", "lightrag_primary", 0.82)
    assert found.reasoning == ("graph terms", "no dates")


@pytest.mark.parametrize("result", [{"success": False, "error": "boom"}, None, 7, {"nothing": "known"}, []])
def test_a_result_that_says_nothing_or_reports_failure_is_a_failure(result: object) -> None:
    """Never an empty answer."""
    with pytest.raises(BackendError) as caught:
        read_result(result)
    assert caught.value.verdict is Verdict.FAILURE
