"""The whole configuration: what an operator may say, with our default for whatever is left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from equipoise.config.alerts import AlertAddress, AlertsConfig
from equipoise.config.backend import BackendConfig, PriceConfig
from equipoise.config.budgets import Budget
from equipoise.config.cache import CacheConfig
from equipoise.config.canary import CanaryConfig
from equipoise.config.content import Content, ContentConfig
from equipoise.config.fields import Count, FilePath, Positive, Section, Share, Text, Texts
from equipoise.config.hooks import HooksConfig, TracingConfig
from equipoise.config.idempotency import IdempotencyConfig
from equipoise.config.learning import LearningConfig
from equipoise.config.metrics import GrafanaConfig, MetricsConfig
from equipoise.config.migration import MigrationConfig
from equipoise.config.people import AdminKey, AuditConfig, CORSConfig, JWTConfig
from equipoise.config.quality import QualityConfig
from equipoise.config.queue import QueueConfig
from equipoise.config.rules import broken_rules
from equipoise.config.sections import Key, LedgerConfig, ListenConfig, LogConfig, RetryConfig, RouteConfig
from equipoise.config.shared import SharedConfig
from equipoise.config.strategies import StrategyName, StrategyOptions
from equipoise.core.model import Strategy

RULES = "broken_rules"
BACKEND_ID = r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
BackendId = Annotated[str, Field(pattern=BACKEND_ID)]
Kind = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Term = Annotated[str, Field(pattern=r"^[^\s*][^*]{0,62}([^*\s]|[^*\s]{3}\*)$")]
Name = Annotated[str, Field(pattern=r"^[^\s,]{1,128}$")]


def _with_ids(backends: Any) -> Any:
    """Give each backend the id it has as a key; an id that says otherwise stays, and a rule refuses it."""
    if not isinstance(backends, dict):
        return backends
    return {name: {"id": name, **data} if isinstance(data, dict) else data for name, data in backends.items()}


class Config(Section):
    """Everything an operator can say. Read it with `equipoise.config.load`."""

    backend_instances: Annotated[dict[BackendId, BackendConfig], BeforeValidator(_with_ids)]
    """The backends, by id."""
    strategy: StrategyName = Strategy.ADAPTIVE_LEARNING
    """How a backend is chosen where a route does not say so: a strategy, or module:Class of your own."""
    strategy_options: StrategyOptions = Field(default_factory=dict)
    """Strategy -> option -> number; docs/strategies.md lists the options of each."""
    exploration_floor: Share | None = None
    """Share of questions spread evenly over all that are good enough; absent, it is the strategy's own."""
    default_price: PriceConfig | None = None
    """What is assumed of a backend whose price nobody knows; without it, budgets do not let it be asked."""
    region: Text | None = None
    """Where this gateway is: backends of the same region are asked first within a priority."""
    enable_adaptive_routing: bool = True
    """Whether adaptive_learning learns; health_aware stands in when not."""
    enable_cost_optimization: bool = True
    """Whether cost counts in choices that weigh it against quality."""
    enable_quality_based_routing: bool = True
    """Whether `minimum_quality_threshold` is a floor for strategies that know quality."""
    enable_real_time_monitoring: bool = True
    """Whether backends are probed all the time, or only judged by their answers."""
    routing_decision_timeout_ms: Positive = 50.0
    """Milliseconds a decision may take before it is counted as late (lb_late_routing_decisions_total)."""
    max_concurrent_health_checks: Count = 10
    """Health probes at once."""
    health_check_batch_size: Count = 5
    """Health probes started together."""
    global_circuit_breaker_enabled: bool = True
    """False switches every backend's circuit breaker off."""
    cascade_failure_prevention: bool = True
    """Whether, when under half of four or more backends look well and these are at their limits, the others are asked too,
    so that the failure of many does not run over the rest."""
    enable_prometheus_metrics: bool = True
    """Whether /metrics is served."""
    enable_grafana_dashboards: bool = True
    """Whether the dashboards are put into the Grafana of `grafana.api_url` when the gateway starts."""
    alert_webhook_url: AlertAddress = None
    """Where alerts are posted, in Slack's form where the address is Slack's. Kept secret: it may hold a token."""
    alert_email_recipients: Texts = ()
    """Who gets alerts by e-mail, through the server of `alerts.email`."""
    alerts: AlertsConfig = AlertsConfig()
    """What is worth an alert, and how it is sent."""
    hooks: HooksConfig = HooksConfig()
    """Code of your own that redacts, enriches or exports questions and answers."""
    content: Content = ContentConfig()
    """Whether the words of questions and answers are kept: none, redacted or full, for each tenant."""
    tracing: TracingConfig = TracingConfig()
    """Spans by OpenTelemetry."""
    metrics: MetricsConfig = MetricsConfig()
    """Where metrics are pushed, for processes that nobody can scrape."""
    grafana: GrafanaConfig = GrafanaConfig()
    """The Grafana that gets the dashboards."""
    cost_optimization_target: Share = 0.8
    """The cost efficiency aimed at."""
    cost_tracking_window_hours: Positive = 24.0
    """Hours over which cost efficiency is computed."""
    minimum_quality_threshold: Share = 0.7
    """Quality below which an answer is not good enough."""
    quality_sampling_rate: Share = 0.1
    """Share of answers whose quality is measured."""
    learning_rate: Share = 0.01
    """How fast learned weights follow what they learn from."""
    performance_history_window_hours: Positive = 168.0
    """Hours that learned weights look back."""
    weight_adjustment_frequency_minutes: Positive = 15.0
    """Minutes between two updates of the learned weights."""

    routes: dict[Name, RouteConfig] = Field(default_factory=dict)
    """Names clients may ask for; without any there is `auto` over all backends."""
    aliases: dict[Name, Name] = Field(default_factory=dict)
    """A client's model name -> route, strategy or backend id."""
    strict_models: bool | None = None
    """Refuse unknown model names instead of answering them as `auto`; absent, where a route has a data_class: a misspelt
    name must not lead past it."""
    timeout_seconds: Positive = 120.0
    """Seconds for a whole question, all attempts together, where a route does not say so."""
    retry: RetryConfig = RetryConfig()
    """When another backend is asked."""
    queue: QueueConfig = QueueConfig()
    """Where questions wait that find all backends at their limits."""
    idempotency: IdempotencyConfig = IdempotencyConfig()
    """What is kept for questions that are asked again under an Idempotency-Key."""
    cache: CacheConfig = CacheConfig()
    """How much is kept of answers that routes with `cache` may give again."""
    server: Literal["own", "uvicorn"] = "own"
    """The HTTP server: ours, or uvicorn."""
    listen: ListenConfig = ListenConfig()
    """Where the gateway listens."""
    keys: dict[Name, Key] = Field(default_factory=dict)
    """Keys that clients must show, by name; without any, only loopback is served."""
    admin_keys: dict[Name, AdminKey] = Field(default_factory=dict)
    """Keys for the admin listener, by name, each with a role; a key alone may only look."""
    jwt: JWTConfig | None = None
    """Tokens of an identity provider that are believed beside keys."""
    cors: CORSConfig = CORSConfig()
    """Which web pages may ask the public listener."""
    audit: AuditConfig = AuditConfig()
    """The journal of admin actions."""
    budgets: dict[BackendId, Budget] = Field(default_factory=dict)
    """What may be spent, by name; a number alone is dollars a day. Without any, spending is not limited."""
    state_dir: FilePath | None = None
    """Where state is kept; $XDG_STATE_HOME/equipoise when absent."""
    shared: SharedConfig = SharedConfig()
    """What is one over the gateways of several hosts, and where."""
    ledger: LedgerConfig = LedgerConfig()
    """The record of every attempt."""
    quality: QualityConfig = QualityConfig()
    """How answers are scored."""
    learning: LearningConfig = LearningConfig()
    """How adaptive_learning begins and where it keeps what it learned."""
    kinds: dict[Kind, Annotated[tuple[Term, ...], Field(min_length=1, max_length=1000)]] = Field(default_factory=dict)
    """Kind of question -> words that tell it (`metabol*` a beginning, `mass spectrometry` a phrase), beside our own."""
    log: LogConfig = LogConfig()
    """What is logged."""
    migration: MigrationConfig | None = None
    """The move from an older system; without it every question goes to the backends."""
    canary: CanaryConfig = CanaryConfig()
    """How candidates beside this configuration are watched, promoted and rolled back."""
    read_only: bool = False
    """Refuse changes through the admin API: the file is the only place to change anything."""
    watch_file: bool = True
    """Take up a changed file by itself; without it, on SIGHUP and `equipoise config reload` only."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Makes random choices repeatable; without it they are not."""

    @model_validator(mode="wrap")
    @classmethod
    def check_rules(cls, data: Any, validate: ModelWrapValidatorHandler[Config]) -> Config:
        """Refuse what no single field can see; the loader reports these one by one, with their places."""
        config = validate(data)
        problems = list(broken_rules(data)) if isinstance(data, dict) else []
        if problems:
            raise PydanticCustomError(RULES, "{told}", {"told": "; ".join(map(str, problems))})
        return config

    @property
    def state_path(self) -> Path:
        """The directory for state, after the default."""
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(self.state_dir) if self.state_dir else Path(home) / "equipoise"

    @property
    def state_file(self) -> Path:
        """The state store's file: keys, budgets, where a migration stands."""
        return self.state_path / "state.sqlite3"

    @property
    def audit_path(self) -> Path:
        """The audit journal's file."""
        return self.state_path / "audit.sqlite3"

    @property
    def ledger_path(self) -> Path | None:
        """The ledger's file after the default, or None when nothing is to be recorded."""
        if not self.ledger.enabled:
            return None
        return Path(self.ledger.path) if self.ledger.path else self.state_path / "ledger.sqlite3"
