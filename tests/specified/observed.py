"""What can be observed to change with each configuration field and each switch."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from equipoise.http import Request, Response
from equipoise.sandbox import Faults, SandboxBackend
from lightrag_integration import PRODUCTION_LB_FEATURES, HybridQueryRouter
from lightrag_integration.production_load_balancer import BackendInstanceConfig, ProductionLoadBalancer
from tests.specified import alerted, costed, learned, probed
from tests.specified.conftest import QUESTION, Balance, Start, backend_config

Pair = tuple[Any, Any] | list[Any]
"""The same observed under two values."""


class Bench:
    """Everything a check needs: engines that answer, one that never does, and balancers over them."""

    def __init__(self, start: Start, balance: Balance, quiet: str) -> None:
        self.start, self.balance, self.quiet = start, balance, quiet
        self.asked = 0
        self.at_once = self.most_at_once = 0

    async def engine(self, kind: str = "local_llm", **changes: float) -> SandboxBackend:
        return await self.start(kind, **changes)

    def nowhere(self, name: str = "a", **fields_: Any) -> BackendInstanceConfig:
        """Nobody listens there."""
        return BackendInstanceConfig(name, "local_llm", "http://127.0.0.1:1/v1", "k", **fields_)  # type: ignore[arg-type]

    def silent(self, name: str = "a", **fields_: Any) -> BackendInstanceConfig:
        """Somebody listens there who never answers."""
        return BackendInstanceConfig(name, "local_llm", self.quiet, "k", **fields_)  # type: ignore[arg-type]

    async def never(self, request: Request) -> Response:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.Event().wait()
        finally:
            self.at_once -= 1
        raise AssertionError("unreachable")


async def chosen(balancer: ProductionLoadBalancer, times: int = 1, question: str = QUESTION) -> Counter[str]:
    return Counter([(await balancer.select_optimal_backend(question))[0] for _ in range(times)])


async def breaker_after(balancer: ProductionLoadBalancer, failures: int) -> str:
    """State of the only backend's breaker after so many failed questions."""
    for _ in range(failures):
        await balancer.send_query("a", QUESTION)
    return str(balancer.get_backend_status()["backends"]["a"]["circuit_breaker"]["state"])


def down() -> Faults:
    return Faults(error_rate=1.0, error_status=500)


# One check a field: the same thing observed under two values must differ.


async def of_id(b: Bench) -> Pair:
    return await chosen(b.balance(b.nowhere("a"))), await chosen(b.balance(b.nowhere("b")))


async def of_backend_type(b: Bench) -> Pair:
    engine = await b.engine("lightrag")
    results = []
    for kind in ("lightrag", "perplexity"):
        config = BackendInstanceConfig("a", kind, engine.url, "sandbox")  # type: ignore[arg-type]
        results.append((await b.balance(config).send_query("a", QUESTION))["success"])
    return results


async def of_endpoint_url(b: Bench) -> Pair:
    there = backend_config("a", "local_llm", await b.engine())
    return [(await b.balance(of).send_query("a", QUESTION))["success"] for of in (there, b.nowhere())]


async def of_api_key(b: Bench) -> Pair:
    engine = await b.engine()
    keys = ("sandbox", "wrong")
    return [
        (await b.balance(backend_config("a", "local_llm", engine, api_key=key)).send_query("a", QUESTION))["success"]
        for key in keys
    ]


async def of_weight(b: Bench) -> Pair:
    return [
        await chosen(b.balance(b.nowhere("a", weight=w), b.nowhere("b"), strategy="weighted_round_robin"), 10)
        for w in (1.0, 4.0)
    ]


async def of_cost_per_1k_tokens(b: Bench) -> Pair:
    engine = await b.engine("lightrag")
    dear = backend_config("a", "lightrag", engine, cost_per_1k_tokens=0.05)
    free = backend_config("a", "lightrag", engine)
    return [(await b.balance(of).send_query("a", QUESTION))["cost_estimate"] for of in (dear, free)]


async def of_max_requests_per_minute(b: Bench) -> Pair:
    engine = await b.engine()
    seen = []
    for limit in (1, 100):
        it = b.balance(backend_config("a", "local_llm", engine, max_requests_per_minute=limit))
        seen.append([(await it.send_query("a", QUESTION))["success"] for _ in range(2)])
    return seen


async def of_timeout_seconds(b: Bench) -> Pair:
    engine = await b.engine(first_token=0.3)
    return [
        (await b.balance(backend_config("a", "local_llm", engine, timeout_seconds=s)).send_query("a", QUESTION))[
            "success"
        ]
        for s in (0.05, 30.0)
    ]


async def of_priority(b: Bench) -> Pair:
    return [await chosen(b.balance(b.nowhere("a", priority=p), b.nowhere("b", priority=2)), 4) for p in (1, 3)]


async def of_expected_response_time_ms(b: Bench) -> Pair:
    return [
        await chosen(
            b.balance(b.nowhere("a", expected_response_time_ms=ms), b.nowhere("b"), strategy="performance_based"), 3
        )
        for ms in (100.0, 9000.0)
    ]


async def of_quality_score(b: Bench) -> Pair:
    return [
        await chosen(
            b.balance(b.nowhere("a", quality_score=q), b.nowhere("b", quality_score=0.8), strategy="quality_based"),
            20,  # one in a hundred is explored
        )
        for q in (0.75, 0.99)
    ]


async def of_reliability_score(b: Bench) -> Pair:
    return [
        (await b.balance(b.nowhere("a", reliability_score=r)).select_optimal_backend(QUESTION))[1] for r in (0.6, 0.9)
    ]


async def of_circuit_breaker_enabled(b: Bench) -> Pair:
    return [await breaker_after(b.balance(b.nowhere(circuit_breaker_enabled=on)), 5) for on in (True, False)]


async def of_failure_threshold(b: Bench) -> Pair:
    return [await breaker_after(b.balance(b.nowhere(failure_threshold=n)), 2) for n in (2, 50)]


async def of_recovery_timeout_seconds(b: Bench) -> Pair:
    states = []
    for seconds in (0.01, 600.0):
        it = b.balance(b.nowhere(failure_threshold=1, recovery_timeout_seconds=seconds))
        await it.send_query("a", QUESTION)
        await asyncio.sleep(0.1)
        states.append(it.get_pool_status()["available_backends"])
    return states


async def of_half_open_max_requests(b: Bench) -> Pair:
    """Two good answers close the breaker where two probes are wanted, and do not where three are."""
    states = []
    for probes in (2, 3):
        engine = await b.engine()
        config = backend_config(
            "a", "local_llm", engine, failure_threshold=1, recovery_timeout_seconds=0.01, half_open_max_requests=probes
        )
        it = b.balance(config)
        engine.set_faults(down())
        await it.send_query("a", QUESTION)
        engine.set_faults(Faults())
        await asyncio.sleep(0.2)
        states.append(await breaker_after(it, 2))
    return states


async def of_cascade_failure_prevention(b: Bench) -> Pair:
    """Three of four are out and the last has all it takes: whether the three are asked, too."""
    seen = []
    for on in (True, False):
        few = [b.nowhere(name, extra={"max_concurrent_requests": 3}) for name in "abcd"]
        it = b.balance(*few, strategy="round_robin", cascade_failure_prevention=on)
        selection = it.balancer.selection
        for name in "abc":
            selection.backends[name].breaker.eject(selection.clock.monotonic(), "a test")
        selection.backends["d"].limit.value = selection.backends["d"].load.in_flight = 1
        seen.append(set(await chosen(it, 4)))
    return seen


async def of_consecutive_failures_threshold(b: Bench) -> Pair:
    seen = []
    for count in (1, 50):
        it = b.balance(b.nowhere(consecutive_failures_threshold=count))
        await it.start_monitoring()
        await asyncio.sleep(0.2)
        seen.append(it.get_health_summary()["backends"]["a"])
    return seen


async def of_strategy(b: Bench) -> Pair:
    seen = []
    for strategy in ("round_robin", "cost_optimized"):
        it = b.balance(
            b.nowhere("a", cost_per_1k_tokens=0.1), b.nowhere("b", cost_per_1k_tokens=0.2), strategy=strategy
        )
        seen.append(await chosen(it, 4))
    return seen


async def of_backend_instances(b: Bench) -> Pair:
    return b.balance(b.nowhere()).get_pool_status()["total_backends"], b.balance(
        b.nowhere("a"), b.nowhere("b")
    ).get_pool_status()["total_backends"]


async def of_enable_adaptive_routing(b: Bench) -> Pair:
    seen = []
    for on in (True, False):
        it = b.balance(b.nowhere(), strategy="adaptive_learning", enable_adaptive_routing=on)
        await chosen(it)
        seen.append(it.routing_history[-1].strategy)
    return seen


async def floored(b: Bench, **whole: Any) -> Counter[str]:
    """Cheap and poor against dear and good."""
    poor = b.nowhere("poor", quality_score=0.5, cost_per_1k_tokens=0.01)
    good = b.nowhere("good", quality_score=0.95, cost_per_1k_tokens=0.5)
    return await chosen(b.balance(poor, good, strategy="cost_optimized", **whole), 3)


async def of_enable_quality_based_routing(b: Bench) -> Pair:
    return await floored(b), await floored(b, enable_quality_based_routing=False)


async def of_minimum_quality_threshold(b: Bench) -> Pair:
    return await floored(b), await floored(b, minimum_quality_threshold=0.1)


async def of_global_circuit_breaker_enabled(b: Bench) -> Pair:
    return [await breaker_after(b.balance(b.nowhere(), global_circuit_breaker_enabled=on), 5) for on in (True, False)]


async def counted(b: Bench, **fields_: Any) -> int:
    it = b.balance(b.nowhere(), **fields_)
    await it.send_query("a", QUESTION)
    return len(it.prometheus_metrics.request_count.samples)


async def of_enable_prometheus_metrics(b: Bench) -> Pair:
    return await counted(b), await counted(b, enable_prometheus_metrics=False)


async def late(b: Bench, **fields_: Any) -> int:
    it = b.balance(b.nowhere(), **fields_)
    await it.send_query("a", QUESTION)
    return it.prometheus_metrics.totals.late


async def of_routing_decision_timeout_ms(b: Bench) -> Pair:
    return await late(b, routing_decision_timeout_ms=1e-6), await late(b, routing_decision_timeout_ms=60_000.0)


Check = Callable[[Bench], Awaitable[Pair]]
CHECKS: dict[str, Check] = (
    {name.removeprefix("of_"): check for name, check in globals().items() if name.startswith("of_")}
    | alerted.CHECKS
    | costed.CHECKS
    | learned.CHECKS
    | probed.CHECKS
)


# The seven switches of a move.


async def switched(
    b: Bench,
    flag: str,
    observe: Callable[[ProductionLoadBalancer], Awaitable[Any]],
    *backends: BackendInstanceConfig,
    **whole: Any,
) -> Pair:
    """The same observed with the switch on and off, all others being on."""
    seen = []
    for on in (True, False):
        features = {**dict.fromkeys(PRODUCTION_LB_FEATURES, True), flag: on}
        seen.append(await observe(b.balance(*backends, features=features, **whole)))
    return seen


async def real_api_health_checks(b: Bench) -> Pair:
    flags = dict(PRODUCTION_LB_FEATURES)
    router = HybridQueryRouter(lambda query: {"backend": "old_one", "confidence": 0.5}, b.balance(b.nowhere()), flags)
    first = (await router.route_query(QUESTION)).source
    flags["real_api_health_checks"] = False
    return [first, (await router.route_query(QUESTION)).source]


async def quality_based_routing(b: Bench) -> Pair:
    poor = b.nowhere("poor", quality_score=0.5, cost_per_1k_tokens=0.01)
    good = b.nowhere("good", quality_score=0.95, cost_per_1k_tokens=0.5)
    return await switched(b, "quality_based_routing", chosen, poor, good, strategy="cost_optimized")


async def adaptive_learning(b: Bench) -> Pair:
    async def strategy(it: ProductionLoadBalancer) -> str:
        await chosen(it)
        return it.routing_history[-1].strategy

    return await switched(b, "adaptive_learning", strategy, b.nowhere(), strategy="adaptive_learning")


async def circuit_breaker_v2(b: Bench) -> Pair:
    return await switched(b, "circuit_breaker_v2", lambda it: breaker_after(it, 5), b.nowhere())


async def prometheus_metrics(b: Bench) -> Pair:
    async def count(it: ProductionLoadBalancer) -> int:
        await it.send_query("a", QUESTION)
        return len(it.prometheus_metrics.request_count.samples)

    return await switched(b, "prometheus_metrics", count, b.nowhere())


async def multi_instance_support(b: Bench) -> Pair:
    async def total(it: ProductionLoadBalancer) -> int:
        return int(it.get_pool_status()["total_backends"])

    return await switched(b, "multi_instance_support", total, b.nowhere("a"), b.nowhere("b"))


FLAGS = {
    check.__name__: check
    for check in (
        real_api_health_checks, costed.cost_optimization, quality_based_routing, adaptive_learning,
        circuit_breaker_v2, prometheus_metrics, multi_instance_support,
    )
}  # fmt: skip
