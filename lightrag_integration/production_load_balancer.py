"""The specified load balancer, over Equipoise: it translates, and decides and computes nothing itself.

Right where the earlier system was wrong: a new backend may be chosen before its first health check; every outcome reaches
the breaker, the statistics and the learner; round robin goes round for one and the same question; WEIGHTED is by weight;
costs are what was metered or priced; `update_strategy`, `get_metrics_summary` and `get_health_summary` exist.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from equipoise.balancer import LoadBalancer
from equipoise.config.specified_costs import with_costs
from equipoise.core.model import NoBackendAvailable
from equipoise.core.policies import specified
from equipoise.core.selection import NOBODY
from equipoise.swap import Swappable
from equipoise.telemetry.routing_statistics import RoutingStatistics

from ._answers import ask, hints_of, question_of
from ._clients import (
    CLIENTS,
    BaseBackendClient,
    ConnectionPool,
    LightRAGBackendClient,
    LocalLLMBackendClient,
    OpenAIBackendClient,
    PerplexityBackendClient,
)
from ._metrics import BackendMetrics, ProductionCircuitBreaker, PrometheusMetrics, RoutingDecisionMetrics, query_hash
from ._translation import to_equipoise, with_features
from ._values import (
    COST_OPTIMIZATION_CONFIG,
    QUALITY_CONFIG,
    AlertSeverity,
    AlertThresholds,
    BackendInstanceConfig,
    BackendType,
    CircuitBreakerState,
    HealthStatus,
    LoadBalancingStrategy,
    ProductionLoadBalancingConfig,
    RoutingDecision,
)
from .production_config_schema import (
    ConfigurationManager,
    create_default_production_config,
    create_multi_instance_config,
    validate_backend_config,
)

__all__ = [
    "COST_OPTIMIZATION_CONFIG", "QUALITY_CONFIG", "AlertSeverity", "AlertThresholds", "BackendInstanceConfig",
    "BackendMetrics", "BackendType", "BaseBackendClient", "CircuitBreakerState", "ConnectionPool", "HealthStatus",
    "LightRAGBackendClient", "LoadBalancingStrategy", "LocalLLMBackendClient", "OpenAIBackendClient",
    "PerplexityBackendClient", "ProductionCircuitBreaker", "ProductionLoadBalancer", "ProductionLoadBalancingConfig",
    "PrometheusMetrics", "RoutingDecision", "RoutingDecisionMetrics", "create_default_production_config",
    "create_multi_instance_config", "validate_backend_config",
]  # fmt: skip
REWARDS = 10  # scored answers that a learned weight must rest on before it is shown


class Applied:
    """Something that has been done already, and may be awaited all the same."""

    def __await__(self) -> Iterator[None]:
        return iter(())


class ProductionLoadBalancer:
    """Chooses among backends and asks them. Configurations are validated: raises ConfigurationError.

    Changes at run time are validated first, take effect at once, and keep what is known of the backends that stay.
    """

    def __init__(self, config: ProductionLoadBalancingConfig, features: Mapping[str, bool] | None = None, cost_optimization: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        config = with_costs(config, cost_optimization) if cost_optimization else config
        self.config, self.features = config, dict(features or {})
        self.statistics = RoutingStatistics(config.performance_history_window_hours)
        late = specified.seconds(config.routing_decision_timeout_ms)
        self.prometheus_metrics = PrometheusMetrics(late_seconds=late)
        self.routing_history: deque[RoutingDecisionMetrics] = deque(maxlen=1000)
        self.auto_scaling = False
        self._standby: dict[str, BackendInstanceConfig] = {}
        self._removals: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fleet = Swappable(to_equipoise(with_features(config, self.features)), self._observers())
        self._after_swap()

    @property
    def balancer(self) -> LoadBalancer:
        """Equipoise's own, for whatever is not specified here: streams, hints, decisions."""
        return self._fleet.balancer

    async def start_monitoring(self) -> None:
        """Begin the free health probes, the first at once; `enable_real_time_monitoring` switches them off."""
        await self._fleet.start()

    async def stop_monitoring(self) -> None:
        """End them and close every connection; a later question opens what it needs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._fleet.close()
        self._after_swap()

    async def select_optimal_backend(
        self, query: str, context: Mapping[str, Any] | None = None, avoid: frozenset[str] = NOBODY
    ) -> tuple[str, float]:
        """Decide who should answer, and send nothing: (id, confidence), the confidence being the lower bound of the share
        of its questions that this backend answers. Raises RuntimeError when nobody may be asked, with a reason for each.

        `context` may hold `strategy`, `max_cost` (nano-dollars), `session`, `tenant`, `conversation_history`.
        """
        said = {name: value for name, value in (context or {}).items() if name != "request_id"}
        request, _ = self.balancer.request(question_of(query, said), hints_of(said))
        self._take_in_standby()
        try:
            decision, seconds = self.statistics.timed(lambda: self.balancer.selection.explain(request, avoid))
        except NoBackendAvailable as nobody:
            raise RuntimeError(f"No available backends: {nobody}") from nobody
        self.prometheus_metrics.decided(decision.strategy, seconds)
        record = RoutingDecisionMetrics.of(decision, query, seconds, uuid.uuid4().hex)
        self.routing_history.append(record)
        return decision.backend_id, record.confidence_score

    async def send_query(self, instance_id: str, query: str, **options: Any) -> dict[str, Any]:
        """Ask this backend and nobody else; the result says `success`. Raises ValueError for an unknown id."""
        if instance_id not in self.balancer.clients:
            raise ValueError(f"Unknown backend instance: {instance_id}")
        record = self._undone(instance_id, query)
        if record is not None:
            options["request_id"] = record.decision_id
            self.statistics.credit(record.decision_id, record.strategy)
        result = await ask(self.balancer, instance_id, query, options)
        if record is not None:
            record.ended(result)
        return result

    async def select_backend(self, routing_decision: Any, context: Mapping[str, Any] | None = None) -> str | None:
        """Who should answer a question the earlier router has judged (`context["query"]`): only LightRAG, only Perplexity,
        or anybody; None when nobody may be asked."""
        wanted = str(getattr(routing_decision, "value", routing_decision)).lower()
        others = (RoutingDecision.LIGHTRAG, RoutingDecision.PERPLEXITY)
        backends = self.balancer.selection.backends.values() if wanted in others else ()
        avoid = frozenset(backend.id for backend in backends if backend.options.type != wanted)
        said = {name: value for name, value in (context or {}).items() if name != "query"}
        try:
            return (await self.select_optimal_backend(str((context or {}).get("query", "")), said, avoid))[0]
        except RuntimeError:
            return None

    def get_backend_status(self) -> dict[str, Any]:
        """How every backend is, as specified."""
        rows = self.balancer.selection.status()
        return {
            "timestamp": datetime.now(UTC).isoformat(),
            "total_backends": len(rows),
            "available_backends": sum(row["why_not"] is None for row in rows),
            "backends": {row["id"]: self._status_of(row) for row in rows},
        }

    def get_routing_statistics(self, hours: float = 24) -> dict[str, Any]:
        """What was decided in the last hours and what came of it. `learned_weights` by kind of question and backend, of
        backends with ten scored answers or more; {'error': ...} when nothing happened."""
        told = self.statistics.over(hours)
        if not told["total_decisions"] and not told["success_rates"]:
            return {"error": f"No routing decisions in the last {hours} hours"}
        rows = self.balancer.learning.weights.rows(REWARDS) if self.balancer.learning else {}
        weights = {kind: {name: row["weight"] for name, row in of.items()} for kind, of in rows.items()}
        return {**told, "learned_weights": weights}

    def get_pool_status(self) -> dict[str, Any]:
        """Who is in the fleet, who waits to come in or to go."""
        rows = self.balancer.selection.status()
        return {
            "total_backends": len(rows),
            "available_backends": [row["id"] for row in rows if row["why_not"] is None],
            "unavailable_backends": {row["id"]: row["why_not"] for row in rows if row["why_not"] is not None},
            "in_flight": {row["id"]: row["in_flight"] for row in rows},
            "auto_scaling_enabled": self.auto_scaling,
            "pending_additions": list(self._standby),
            "pending_removals": dict(self._removals),
        }

    def get_health_summary(self) -> dict[str, Any]:
        """The whole in one word, and the word for each backend."""
        status = self.get_backend_status()
        available, total = status["available_backends"], status["total_backends"]
        word = HealthStatus.HEALTHY if available == total else HealthStatus.DEGRADED
        return {
            "status": (word if available else HealthStatus.UNHEALTHY).value,
            "total_backends": total,
            "available_backends": available,
            "backends": {name: of["health_status"] for name, of in status["backends"].items()},
        }

    def get_metrics_summary(self) -> dict[str, Any]:
        """Questions, errors, cost in dollars, routing and strategies at a glance."""
        rows = self.balancer.selection.status()
        return {
            "total_requests": sum(row["requests"] for row in rows),
            "total_errors": sum(row["errors"] for row in rows),
            "total_cost_usd": sum(float(row["cost_usd"]) for row in rows),
            "in_flight": self.balancer.in_flight,
            "cost_efficiency": self.balancer.efficiency.status(time.time()),
            "routing": self.get_routing_statistics(),
            "algorithms": self.get_algorithm_performance_metrics(),
        }

    def get_algorithm_performance_metrics(self) -> dict[str, dict[str, Any]]:
        """For each strategy: decisions, their mean time, results and the share that were answers."""
        return self.statistics.by_strategy(self.statistics.window_hours)

    def get_algorithm_selection_analytics(self) -> dict[str, Any]:
        """Which strategy decides now, and the share in percent each has had."""
        shares = {name: row["share_percentage"] for name, row in self.get_algorithm_performance_metrics().items()}
        return {"current_strategy": self.config.strategy.value, "share_percentage": shares}

    async def optimize_algorithms(self) -> dict[str, Any]:
        """Go over to a strategy whose results are better beyond doubt (intervals that do not overlap), if there is one."""
        current = self.config.strategy.value
        better = self.statistics.better_than(current, self.statistics.window_hours)
        if better is not None:
            self.update_strategy(better)
        return {"previous_strategy": current, "strategy": better or current, "changed": better is not None}

    def update_strategy(self, strategy: LoadBalancingStrategy | str) -> Applied:
        """Decide by this strategy from now on. Raises ValueError for one that does not exist."""
        self._apply(strategy=LoadBalancingStrategy(strategy))
        return Applied()

    def update_features(self, features: Mapping[str, bool]) -> None:
        """Switch features (PRODUCTION_LB_FEATURES) on and off."""
        self.features = dict(features)
        self._apply()

    async def update_backend_config(self, backend_id: str, updates: Mapping[str, Any]) -> None:
        """Change fields of one backend; an invalid change raises ConfigurationError and changes nothing."""
        manager = self._manager()
        manager.update_backend_config(backend_id, updates)
        self._apply(backend_instances=manager.config.backend_instances)

    def add_backend_instance(self, backend_id: str, config: BackendInstanceConfig) -> None:
        """Add a backend; it may be asked at once."""
        manager = self._manager()
        manager.add_backend_instance(backend_id, config)
        self._apply(backend_instances=manager.config.backend_instances)

    async def remove_backend_instance(self, backend_id: str) -> None:
        """Remove a backend; questions under way are answered. Raises ConfigurationError for the last one."""
        manager = self._manager()
        manager.remove_backend_instance(backend_id)
        self._removals.pop(backend_id, None)
        self._apply(backend_instances=manager.config.backend_instances)

    async def register_backend_instance(self, backend_id: str, config: BackendInstanceConfig) -> None:
        """Add a backend; under auto scaling it stands by until all others are at their limits or unwell."""
        self._manager().add_backend_instance(backend_id, config)
        if self.auto_scaling:
            self._standby[backend_id] = config
        else:
            self.add_backend_instance(backend_id, config)

    async def schedule_backend_removal(self, backend_id: str, reason: str = "") -> None:
        """Give a backend nothing new, and remove it when its last question has been answered. Raises ConfigurationError
        when none would be left."""
        manager = self._manager()
        for name in {*self._removals, backend_id}:
            manager.remove_backend_instance(name)
        self.balancer.drain(backend_id)
        self._removals[backend_id] = reason
        task = asyncio.get_running_loop().create_task(self._remove_when_idle(backend_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def enable_auto_scaling(self) -> None:
        """Registered backends stand by until they are needed."""
        self.auto_scaling = True

    def disable_auto_scaling(self) -> None:
        """Registered backends come in at once, those that stand by too."""
        self.auto_scaling = False
        while self._standby:
            self.add_backend_instance(*self._standby.popitem())

    def _manager(self) -> ConfigurationManager:
        return ConfigurationManager(replace(self.config))

    def _apply(self, **changes: Any) -> None:
        config = replace(self.config, **changes)
        self._fleet.swap(to_equipoise(with_features(config, self.features)), self._observers(config))
        self.config = config
        self._after_swap()

    def _observers(self, config: ProductionLoadBalancingConfig | None = None) -> list[Any]:
        wanted = with_features(config or self.config, self.features).enable_prometheus_metrics
        return [self.statistics.observe, *([self.prometheus_metrics.observe] if wanted else [])]

    def _after_swap(self) -> None:
        self.prometheus_metrics.set_backend_gauges(self.balancer.selection.status)
        used = {name: self.config.backend_instances[name] for name in self.balancer.clients}
        self.backend_clients = {name: CLIENTS[of.backend_type](of, self._fleet) for name, of in used.items()}

    def _undone(self, instance_id: str, query: str) -> RoutingDecisionMetrics | None:
        """The last decision for this backend and question of which nothing has come yet."""
        wanted, digest = (instance_id, None), query_hash(query)
        fitting = (of for of in reversed(self.routing_history) if of.query_hash == digest)
        return next((of for of in fitting if (of.selected_backend, of.request_successful) == wanted), None)

    def _status_of(self, row: Mapping[str, Any]) -> dict[str, Any]:
        health, probed = self.balancer.selection.backends[row["id"]].health, row["last_probe"]
        return {
            **specified.status_numbers(row),
            "last_health_check": None if probed is None else datetime.fromtimestamp(probed, UTC).isoformat(),
            "custom_metrics": dict(health.probe_details),
        }

    def _take_in_standby(self) -> None:
        now, backends = time.monotonic(), self.balancer.selection.backends.values()
        if self._standby and all(of.unwell(now) or of.load.in_flight >= of.limit.value for of in backends):
            name = next(iter(self._standby))
            self.add_backend_instance(name, self._standby.pop(name))

    async def _remove_when_idle(self, backend_id: str) -> None:
        backend = self.balancer.selection.backends[backend_id]
        while backend.load.in_flight:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
        if backend_id in self._removals:
            await self.remove_backend_instance(backend_id)
