"""ProductionLoadBalancer: its methods, their return shapes, and changes while it runs."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.core.events import AnswerScored
from equipoise.sandbox import Faults
from lightrag_integration import ConfigurationError
from lightrag_integration.production_load_balancer import BackendType, RoutingDecision
from tests.specified.conftest import QUESTION, Balance, Start, backend_config

OK = {"success", "response", "response_time_ms", "tokens_used", "cost_estimate", "response_length", "quality_score"}
WEB = OK | {"prompt_tokens", "completion_tokens", "model_used", "citations_count", "finish_reason", "quota_remaining"}
GRAPH = OK | {
    "knowledge_sources", "entities_extracted", "relationships_found", "confidence_score", "retrieval_score", "mode_used",
    "context_used", "graph_traversal_depth",
}  # fmt: skip


async def test_deciding_sends_nothing_and_works_before_any_health_check(start: Start, balance: Balance) -> None:
    """A new backend is unknown, not unavailable; the same question goes round under round robin."""
    engine = await start("lightrag")
    it = balance(backend_config("a", "lightrag", engine), backend_config("b", "lightrag", engine))
    pairs = [await it.select_optimal_backend(QUESTION) for _ in range(4)]
    assert [name for name, _ in pairs] == ["a", "b", "a", "b"]
    assert all(0 < confidence <= 1 for _, confidence in pairs)
    assert engine.stats.requests == 0


async def test_a_question_to_lightrag_comes_back_in_the_specified_form(start: Start, balance: Balance) -> None:
    """Words, sources and estimated tokens; what LightRAG does not tell is None."""
    it = balance(backend_config("graph", "lightrag", await start("lightrag"), cost_per_1k_tokens=0.05))
    result = await it.send_query("graph", QUESTION, mode="naive", max_tokens=200, system_prompt="Be brief.")
    assert result.keys() >= GRAPH
    assert (result["success"], result["mode_used"]) == (True, "naive")
    assert result["text"] == result["response"]["response"]
    assert result["knowledge_sources"][0].endswith(".md")
    assert result["tokens_used"] > 0
    assert result["cost_estimate"] == pytest.approx(result["tokens_used"] / 1000 * 0.05, rel=0.01)
    unknown = ("entities_extracted", "relationships_found", "confidence_score", "retrieval_score", "quality_score")
    assert [result[name] for name in unknown] == [None] * 5


@pytest.mark.parametrize("kind", ["perplexity", "openai_direct", "local_llm"])
async def test_a_question_to_a_chat_engine_comes_back_in_the_specified_form(
    start: Start, balance: Balance, kind: str
) -> None:
    """`response` has the shape of a chat completion whatever the engine's own is; the cost is what it billed."""
    engine = await start(kind)
    it = balance(backend_config("chat", kind, engine))
    options = {} if kind == "perplexity" else {"temperature": 0.2}
    result = await it.send_query("chat", QUESTION, **options)
    assert result.keys() >= WEB
    assert result["response"]["choices"][0]["message"]["content"] == result["text"]
    assert result["tokens_used"] == result["prompt_tokens"] + result["completion_tokens"]
    assert result["response_length"] == len(result["text"])
    if kind == "perplexity":
        assert round(result["cost_estimate"] * 1e9) == engine.stats.billed
        assert result["citations_count"] == len(result["citations"]) > 0


async def test_failures_are_results_and_reach_the_breaker(start: Start, balance: Balance) -> None:
    """Status and reason are told; enough of them open the breaker, which is then the reason."""
    engine = await start("perplexity")
    engine.set_faults(Faults(error_rate=1.0, error_status=503))
    it = balance(backend_config("web", "perplexity", engine, failure_threshold=3))
    results = [await it.send_query("web", QUESTION) for _ in range(4)]
    assert (results[0]["success"], results[0]["http_status"]) == (False, 503)
    assert results[0].keys() >= {"error", "error_type", "response_time_ms"}
    assert "circuit breaker open" in results[-1]["error"]
    assert results[-1]["retry_after_seconds"] > 0
    status = it.get_backend_status()["backends"]["web"]
    assert status["circuit_breaker"]["state"] == "open"
    assert status["health_status"] in ("degraded", "unhealthy")
    assert (
        status["why_not"]
        == it.get_pool_status()["unavailable_backends"]["web"]
        == results[-1]["error"].split("web: ")[1][:-1]
    )


async def test_a_throttled_backend_says_when_to_come_back(start: Start, balance: Balance) -> None:
    """`retry_after_seconds` is the upstream's own word."""
    engine = await start("openai_direct")
    engine.set_faults(Faults(throttle_rate=1.0, retry_after=7.0))
    it = balance(backend_config("a", "openai_direct", engine))
    result = await it.send_query("a", QUESTION, deadline_seconds=2.0)
    assert (result["success"], result["retry_after_seconds"]) == (False, pytest.approx(7.0, abs=0.5))


async def test_unknown_ids_and_nobody_at_all_are_told_as_specified(start: Start, balance: Balance) -> None:
    """ValueError for an id, RuntimeError with a reason for each backend when nobody may be asked."""
    it = balance(backend_config("a", "lightrag", await start("lightrag")))
    with pytest.raises(ValueError, match="Unknown backend instance: nobody"):
        await it.send_query("nobody", QUESTION)
    it.balancer.drain("a")
    with pytest.raises(RuntimeError, match="No available backends: a: draining"):
        await it.select_optimal_backend(QUESTION)
    assert await it.select_backend(RoutingDecision.EITHER) is None


async def test_a_judged_question_goes_to_its_kind(start: Start, balance: Balance) -> None:
    """LIGHTRAG and PERPLEXITY name a kind, EITHER and HYBRID anybody."""
    graph, web = await start("lightrag"), await start("perplexity")
    it = balance(backend_config("graph", "lightrag", graph), backend_config("web", "perplexity", web))
    asked = {"query": QUESTION}
    assert {await it.select_backend(RoutingDecision.LIGHTRAG, asked) for _ in range(4)} == {"graph"}
    assert {await it.select_backend("perplexity", asked) for _ in range(4)} == {"web"}
    assert {await it.select_backend("HYBRID", asked) for _ in range(4)} == {"graph", "web"}


async def test_decisions_are_recorded_with_what_came_of_them(start: Start, balance: Balance) -> None:
    """The fields that the earlier system never filled; statistics and metrics count each decision once."""
    it = balance(backend_config("a", "perplexity", await start("perplexity")))
    assert it.get_routing_statistics() == {"error": "No routing decisions in the last 24 hours"}
    name, confidence = await it.select_optimal_backend(QUESTION)
    (record,) = it.routing_history
    assert (record.selected_backend, record.confidence_score, record.request_successful) == (name, confidence, None)
    assert len(record.query_hash) == 16
    result = await it.send_query(name, QUESTION)
    assert (record.request_successful, record.cost_actual) == (True, result["cost_estimate"])
    assert record.response_time_ms == result["response_time_ms"]
    told = it.get_routing_statistics(hours=1)
    assert (told["total_decisions"], told["backend_usage"], told["success_rates"]) == (1, {"a": 1}, {"a": 1.0})
    assert told.keys() >= {"time_window_hours", "avg_decision_time_ms", "avg_confidence_score", "learned_weights"}
    assert told["backend_usage_percentage"] == {"a": 100.0}
    row = it.get_algorithm_performance_metrics()["round_robin"]
    assert (row["decisions"], row["results"], row["success_rate"]) == (1, 1, 1.0)
    assert it.get_algorithm_selection_analytics()["share_percentage"] == {"round_robin": 100.0}
    decided = [
        sample for sample in it.prometheus_metrics.routing_decision_time.samples if sample.name.endswith("_count")
    ]
    assert {sample.labels["strategy"]: sample.value for sample in decided}["round_robin"] == 1


async def test_what_is_learned_is_shown(start: Start, balance: Balance) -> None:
    """Ten scored answers are enough for a weight, by kind of question."""
    it = balance(backend_config("a", "lightrag", await start("lightrag")), strategy="adaptive_learning")
    for number in range(10):
        name, _ = await it.select_optimal_backend(QUESTION)
        assert (await it.send_query(name, QUESTION))["success"]
        score = AnswerScored(
            request_id=str(number), attempt=1, backend_id="a", route="auto", tenant="default", kind="metabolomics",
            role="answer", quality=0.5, variance=0.0, source="judge", wall=it.balancer.selection.clock.wall(),
        )  # fmt: skip
        it.balancer.tell(score)
    assert it.get_routing_statistics()["learned_weights"] == {}
    it.balancer.learning.weights.adjust(it.balancer.selection.clock.wall())
    assert it.get_routing_statistics()["learned_weights"] == {"metabolomics": {"a": pytest.approx(0.995)}}


async def test_reports_have_their_specified_shapes(start: Start, balance: Balance) -> None:
    """Status, pool, health and metrics of a fleet of which one has gone."""
    engine, gone = await start("lightrag"), await start("perplexity")
    it = balance(backend_config("graph", "lightrag", engine), backend_config("web", "perplexity", gone))
    it.balancer.drain("web")
    status = it.get_backend_status()
    assert (status["total_backends"], status["available_backends"]) == (2, 1)
    assert status["backends"]["graph"].keys() >= {
        "health_status", "health_score", "response_time_ms", "error_rate", "availability_percentage", "quality_score",
        "cost_per_request", "circuit_breaker", "last_health_check", "custom_metrics",
    }  # fmt: skip
    assert status["backends"]["graph"]["cost_per_request"] is None
    assert it.get_pool_status()["unavailable_backends"] == {"web": "draining"}
    assert it.get_health_summary()["status"] == "degraded"
    await it.send_query("graph", QUESTION)
    assert it.get_metrics_summary()["total_requests"] == 1


async def test_monitoring_probes_free_of_charge(start: Start, balance: Balance) -> None:
    """The first probes go out at once, and none of them is billed; it can be stopped and started again."""
    engine = await start("perplexity")
    it = balance(backend_config("web", "perplexity", engine))
    for _ in range(2):
        await it.start_monitoring()
        await asyncio.sleep(0.1)
        await it.stop_monitoring()
    assert (engine.stats.paid, engine.stats.billed) == (0, 0)
    assert engine.stats.by_path == {"/v1/models": 2}
    assert it.get_backend_status()["backends"]["web"]["last_health_check"] is not None
    assert (await it.send_query("web", QUESTION))["success"]


async def test_a_strategy_is_changed_at_once_and_may_be_awaited(start: Start, balance: Balance) -> None:
    """With `await` or without; memory stays."""
    it = balance(backend_config("a", "lightrag", await start("lightrag")))
    await it.send_query("a", QUESTION)
    it.update_strategy("quality_based")
    await it.update_strategy("cost_optimized")
    await it.select_optimal_backend(QUESTION)
    assert it.routing_history[-1].strategy == "cost_optimized"
    assert it.get_metrics_summary()["total_requests"] == 1
    with pytest.raises(ValueError, match="fastest"):
        it.update_strategy("fastest")


async def test_backends_come_and_go_while_it_runs(start: Start, balance: Balance) -> None:
    """Valid changes take effect at once; invalid ones, and removing the last, change nothing."""
    engine = await start("lightrag")
    it = balance(backend_config("a", "lightrag", engine))
    it.add_backend_instance("b", backend_config("b", "lightrag", engine))
    assert (await it.send_query("b", QUESTION))["success"]
    await it.update_backend_config("b", {"weight": 4.0, "mode": "naive"})
    assert (await it.send_query("b", QUESTION))["mode_used"] == "naive"
    for wrong in ({"weight": -1}, {"no_such_field": 1}):
        with pytest.raises(ConfigurationError):
            await it.update_backend_config("b", wrong)
    assert it.config.backend_instances["b"].weight == 4.0
    with pytest.raises(ConfigurationError, match="already"):
        it.add_backend_instance("b", backend_config("b", "lightrag", engine))
    await it.remove_backend_instance("b")
    assert list(it.backend_clients) == ["a"]
    with pytest.raises(ConfigurationError, match="At least one backend"):
        await it.remove_backend_instance("a")


async def test_a_client_that_was_taken_before_a_change_goes_on_after_it(start: Start, balance: Balance) -> None:
    """It asks through whatever the fleet is now, monitored or not."""
    it = balance(backend_config("a", "lightrag", await start("lightrag")))
    client = it.backend_clients["a"]
    for strategy in ("weighted", "health_aware"):
        assert (await client.send_query(QUESTION))["success"]
        it.update_strategy(strategy)
        await asyncio.sleep(0.05)
        await it.start_monitoring()
    assert (await client.health_check())[0]
    assert it.get_metrics_summary()["total_requests"] == 2


async def test_a_scheduled_removal_waits_for_the_last_answer(start: Start, balance: Balance) -> None:
    """Nothing new goes there, what is under way is answered, and then it is gone."""
    engine = await start("lightrag", first_token=0.2)
    it = balance(backend_config("a", "lightrag", engine), backend_config("b", "lightrag", engine))
    await it.start_monitoring()
    asked = asyncio.create_task(it.send_query("a", QUESTION))
    await asyncio.sleep(0.05)
    await it.schedule_backend_removal("a", "maintenance")
    assert it.get_pool_status()["pending_removals"] == {"a": "maintenance"}
    with pytest.raises(ConfigurationError, match="At least one backend"):
        await it.schedule_backend_removal("b")
    assert {(await it.select_optimal_backend(QUESTION))[0] for _ in range(3)} == {"b"}
    assert (await asked)["success"]
    await asyncio.sleep(0.1)
    assert list(it.config.backend_instances) == ["b"]
    assert it.get_pool_status()["pending_removals"] == {}


async def test_a_backend_that_stands_by_comes_in_when_the_others_cannot(start: Start, balance: Balance) -> None:
    """Auto scaling: registered backends wait until all others are at their limits or unwell."""
    engine = await start("lightrag")
    it = balance(backend_config("a", "lightrag", engine, max_requests_per_minute=1))
    it.enable_auto_scaling()
    await it.register_backend_instance("b", backend_config("b", "lightrag", engine))
    await it.register_backend_instance("c", backend_config("c", "lightrag", engine))
    assert (await it.select_optimal_backend(QUESTION))[0] == "a"
    await it.send_query("a", QUESTION)
    assert (await it.select_optimal_backend(QUESTION))[0] == "b"
    assert it.get_pool_status()["pending_additions"] == ["c"]
    it.disable_auto_scaling()
    assert set(it.backend_clients) == {"a", "b", "c"}


async def test_algorithms_are_changed_only_for_a_better_one(start: Start, balance: Balance) -> None:
    """Without enough results nothing is changed, and that is said."""
    it = balance(backend_config("a", "lightrag", await start("lightrag")))
    told = await it.optimize_algorithms()
    assert told == {"previous_strategy": "round_robin", "strategy": "round_robin", "changed": False}


async def test_every_kind_of_backend_has_a_client(start: Start, balance: Balance) -> None:
    """The earlier system had none for two of the four."""
    kinds = [of for of in BackendType if of is not BackendType.FUNCTION]
    it = balance(*[backend_config(kind.value, kind.value, await start(kind.value)) for kind in kinds])
    for kind in kinds:
        assert (await it.backend_clients[kind.value].send_query(QUESTION))["success"]
