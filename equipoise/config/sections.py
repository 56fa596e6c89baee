"""What an operator may say of routes, the listener, retries, the ledger, keys and the log."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from equipoise.config.cache import RouteCache
from equipoise.config.data_classes import DataClasses
from equipoise.config.fields import (
    Count,
    FilePath,
    NotNegative,
    Port,
    Positive,
    Section,
    Share,
    Text,
    Texts,
)
from equipoise.config.prefix import PrefixAffinity
from equipoise.config.queue import HedgeConfig
from equipoise.config.secret import Secret
from equipoise.config.strategies import StrategyName, StrategyOptions

MEBIBYTE = 1024 * 1024


class RouteConfig(Section):
    """A name a client may ask for, and how its questions are answered."""

    backends: Texts | None = None
    """Ids of the backends that may answer; all of them when absent."""
    strategy: StrategyName | None = None
    """How one is chosen; the global `strategy` when absent."""
    strategy_options: StrategyOptions = Field(default_factory=dict)
    """Strategy -> option -> number, laid over the global `strategy_options`."""
    exploration_floor: Share | None = None
    """Share of questions spread evenly over all that are good enough; the global one when absent."""
    sticky: bool = False
    """Whether questions with the same x-equipoise-session stay with one backend."""
    prefix_affinity: PrefixAffinity = None
    """Whether prompts that begin alike stay with one backend, for such as keep what they computed of a beginning."""
    fallback: Texts = ()
    """Backend ids or routes that are asked, in order, when none of `backends` can answer."""
    timeout_seconds: Positive | None = None
    """Seconds for the whole question; the global `timeout_seconds` when absent."""
    min_quality: Share | None = None
    """Backends believed to be worse are asked only when no better one can be."""
    escalate: bool = False
    """Whether a whole answer below `min_quality` is not given where a better backend can be asked; streams never are."""
    explore: Literal["live", "shadow", "off"] = "live"
    """Whether a learning strategy may try other backends on live questions, on copies, or not at all."""
    hedge: HedgeConfig = HedgeConfig()
    """Whether slow questions are asked of a second backend."""
    data_class: DataClasses = ()
    """What all its questions hold, beside what keys and questions say: only backends whose `allows` names it are asked."""
    cache: RouteCache = None
    """Whether answers are kept and given again: true, or a section; absent or false, every question is asked."""


class TLSConfig(Section):
    """The listener's certificate."""

    certificate: FilePath
    """Certificate chain (PEM)."""
    key: FilePath
    """Private key (PEM)."""
    client_ca: FilePath | None = None
    """Authorities (PEM) whose certificates clients must show."""


class ListenConfig(Section):
    """Where the gateway listens, and what it takes from clients."""

    host: Text = "127.0.0.1"
    """Address of the public listener. Off loopback it wants keys."""
    port: Port = 4000
    """Port of the public listener; 0 lets the system choose."""
    workers: Count = 1
    """Processes that share the public port, for more than one core; 1 is one process without a parent."""
    admin_host: Text = "127.0.0.1"
    """Address of the admin listener."""
    admin_port: Port | None = None
    """Port of the admin listener; the public port + 1 when absent."""
    admin_key: Secret | None = None
    """A key of role admin for the admin listener. Without any admin key it believes whoever is on this machine, and changes no backends."""
    tls: TLSConfig | None = None
    """Certificate and key; plain HTTP when absent."""
    trusted_proxies: Texts = ()
    """Addresses or networks whose X-Forwarded-* headers are believed."""
    max_body_bytes: Count = 32 * MEBIBYTE
    """Longest request body."""
    max_connections: Count = 10_000
    """Most connections at once."""
    header_timeout_seconds: Positive = 15.0
    """Seconds a client may take to send a request's head."""
    body_timeout_seconds: Positive = 20.0
    """Seconds of head start a client has to send a body; after them it must not be slow."""
    idle_timeout_seconds: Positive = 75.0
    """Seconds a kept-alive connection may be quiet."""
    drain_notice_seconds: NotNegative = 0.0
    """Seconds between failing readiness and refusing connections, for load balancers in front to notice."""
    drain_seconds: NotNegative = 30.0
    """Seconds running answers have to finish when the gateway is told to stop."""

    @property
    def effective_admin_port(self) -> int:
        """The admin port after the default: the next one, or one that the system chooses when the public one is 0."""
        if self.admin_port is not None:
            return self.admin_port
        return self.port + 1 if self.port and self.port < 65535 else 0


class RetryConfig(Section):
    """When another backend is asked after one failed."""

    max_attempts: Count = 3
    """Most attempts of one question that may have reached a backend."""
    share: Share = 0.2
    """Share of questions that may be asked again: bounds the extra load in an outage."""
    floor_per_second: NotNegative = 1.0
    """Repeated questions a second that are always allowed."""
    burst: NotNegative = 10.0
    """Repeated questions that may come at once."""
    backoff_base_seconds: NotNegative = 0.1
    """Longest pause before the second attempt; doubles with each."""
    backoff_cap_seconds: NotNegative = 5.0
    """Longest pause between attempts."""


class LedgerConfig(Section):
    """The record of every attempt."""

    enabled: bool = True
    """Whether attempts are recorded."""
    path: FilePath | None = None
    """The SQLite file; ledger.sqlite3 in the state directory when absent."""
    batch_seconds: Positive = 0.2
    """Longest time a record waits in memory."""
    keep_days: Positive = 90.0
    """Days after which a record is taken out; its money stays in sums by day, tenant and backend."""
    max_records: Count = 2_000_000
    """Most records kept, about 3 kB each; beyond them the oldest are taken out in the same way."""
    default_backend: Text | None = None
    """The backend that savings are measured against, beside the dearest; the first one when absent."""


def plain_key(data: Any) -> Any:
    """A key alone stands for a section that holds it."""
    return {"key": data} if isinstance(data, str | Secret) else data


def _moment(value: Any) -> Any:
    """YAML reads an unquoted date as one; without a zone it is UTC."""
    text = value if isinstance(value, str) else str(value)
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).isoformat()


Moment = Annotated[str, BeforeValidator(_moment)]


class KeyConfig(Section):
    """A key that clients show: by reference (`key: ${VARIABLE}`) or hashed (`sha256:`, 64 hexadecimal digits)."""

    key: Secret | None = None
    """The key: ${VARIABLE}, file:/path or the value."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 of the key, in hexadecimal."""
    tenant: Text = "default"
    """Whom its questions are counted for."""
    routes: Texts | None = None
    """Routes it may ask, and backends it may ask by name; all of them when absent, none of an empty list: then it only
    reads metrics."""
    strategies: Texts | None = None
    """Strategies it may use; all of them when absent."""
    expires: Moment | None = None
    """Until when it is good: a date or a time, UTC unless it names a zone."""
    budgets: Texts = ()
    """Budgets that count what it spends, beside those of its tenant."""
    data_class: DataClasses = ()
    """What all its questions hold: only backends whose `allows` names it are asked. A question can add, never take away."""
    requests_per_minute: Count | None = None
    """Questions it may ask in any minute."""
    tokens_per_minute: Count | None = None
    """Tokens, asked and answered, it may use in any minute."""

    @property
    def expires_at(self) -> float | None:
        """The same in Unix seconds."""
        return datetime.fromisoformat(self.expires).timestamp() if self.expires else None

    @model_validator(mode="after")
    def _one_of_both(self) -> KeyConfig:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("needs either key or sha256")
        return self


Key = Annotated[KeyConfig, BeforeValidator(plain_key, json_schema_input_type=KeyConfig | str)]


class LogConfig(Section):
    """What the gateway says of itself, to stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important lines that are printed."""
    format: Literal["console", "json"] = "console"
    """For people or for machines."""
    access: bool = True
    """One line a request."""
