"""The desk that watches and tells: rules, receivers, and the file that remembers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

from equipoise.config import Config
from equipoise.config.alerts import LevelsConfig, WebhookConfig
from equipoise.config.secret import Secret
from equipoise.core.alert_rules import COSTS, AlertRules, Levels, Thresholds, timings
from equipoise.core.alerting import Alert, Board, Notice, Severity
from equipoise.stores.alerts import AlertStore
from equipoise.stores.ledger import Ledger, LedgerHealth
from equipoise.stores.sqlite import StoreError
from equipoise.telemetry.alerts import AlertDesk, Mail, MailServer, Outbox, Receiver, Webhook
from equipoise.telemetry.alerts.desk import Rows
from equipoise.telemetry.alerts.machine import Machine
from equipoise.telemetry.alerts.outbox import Parcel

T = TypeVar("T")
ALERTS_FILE = "alerts.sqlite3"
AWAY_SECONDS = 10.0
"""A server that is started again does not ring anybody."""
SLACK = ("hooks.slack.com", "hooks.slack-gov.com")
logger = logging.getLogger("equipoise.alerts")


def alerts_of(config: Config, rows: Rows, ledger: Ledger | None) -> AlertDesk | None:
    """The desk, or None where nothing is to be watched."""
    of = config.alerts
    if not of.enabled:
        return None
    default, patience = timings(of.interval_seconds, suppression=of.suppression_seconds, repeat=of.repeat_seconds)
    memory = Memory(AlertStore(config.state_path / ALERTS_FILE))
    return AlertDesk(
        AlertRules(thresholds_of(config)),
        Board(default, patience),
        Outbox(receivers_of(config), memory, capacity=of.queue),
        memory,
        rows=rows,
        facts=facts_of(Machine(config.state_path), ledger),
        interval=of.interval_seconds,
    )


def thresholds_of(config: Config) -> Thresholds:
    of, said = config.alerts, config.alerts.thresholds
    floor = config.minimum_quality_threshold
    quality = said.quality or LevelsConfig(
        warning=floor, critical=max(0.0, floor - 0.1), emergency=max(0.0, floor - 0.2)
    )
    return Thresholds(
        response_seconds=_levels(said.response_time_ms, scale=0.001),
        error_rate=_levels(said.error_rate),
        availability=_levels(said.availability, falling=True),
        health=_levels(said.health_score, falling=True),
        consecutive_failures=_levels(said.consecutive_failures),
        quality=_levels(quality, falling=True),
        cpu=_levels(said.cpu),
        memory=_levels(said.memory),
        disk=_levels(said.disk),
        window=of.window_seconds,
        minimum_requests=of.minimum_requests,
    )


def _levels(of: LevelsConfig, *, scale: float = 1.0, falling: bool = False) -> Levels:
    warning, critical, emergency = (
        None if it is None else it * scale for it in (of.warning, of.critical, of.emergency)
    )
    return Levels(warning, critical, emergency, falling)


def receivers_of(config: Config) -> list[Receiver]:
    """Everybody who is told, by the operator's names for them."""
    of, found = config.alerts, list[Receiver]()
    plain = (("alert_webhook_url", config.alert_webhook_url, None), ("cost_webhook_url", of.cost_webhook_url, COSTS))
    for name, url, rules in plain:
        if url is not None:
            slack = urlsplit(url.reveal()).hostname in SLACK
            said = WebhookConfig(url=url, form="slack" if slack else "json", secret=of.webhook_secret)
            found.append(_webhook(name, said, rules, of.runbook_url))
    for name, webhook in of.webhooks.items():
        rules = frozenset(webhook.rules) if webhook.rules is not None else None
        found.append(_webhook(f"webhooks.{name}", webhook, rules, of.runbook_url))
    return [*found, _mail(config)] if config.alert_email_recipients else found


def _webhook(name: str, of: WebhookConfig, rules: frozenset[str] | None, runbooks: str) -> Webhook:
    return Webhook(
        name,
        of.url.reveal(),
        form=of.form,
        secret=_revealed(of.secret),
        least=Severity(of.minimum_severity),
        rules=rules,
        runbooks=runbooks,
    )


def _mail(config: Config) -> Mail:
    of = config.alerts.email
    server = MailServer(
        host=of.host,
        port=of.port,
        security=of.security,
        username=of.username,
        password=_revealed(of.password),
        sender=of.sender,
        ca_file=of.ca_file,
    )
    least = Severity(of.minimum_severity)
    return Mail(server, config.alert_email_recipients, least=least, runbooks=config.alerts.runbook_url)


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def facts_of(machine: Machine, ledger: Ledger | None) -> Callable[[], Awaitable[Mapping[str, float]]]:
    """Shares of the machine in use, whether the ledger can be written, and whether its server has been away for a while."""

    async def facts() -> Mapping[str, float]:
        found = await asyncio.to_thread(machine.shares)
        return found if ledger is None else {**found, **_of_ledger(ledger.health(), time.time())}

    return facts


def _of_ledger(health: LedgerHealth, now: float) -> dict[str, float]:
    away = health.away_since is not None and now - health.away_since > AWAY_SECONDS
    return {"ledger_unwell": 0.0 if health.ok else 1.0, "ledger_away": 1.0 if away else 0.0}


class Memory:
    """The store of alerts, beside the loop. When it fails alerts are still sent; the log says so, once a spell."""

    def __init__(self, store: AlertStore) -> None:
        self._store, self._unwell = store, False

    async def record(self, notices: list[Notice], active: list[Alert]) -> None:
        await self._try(None, self._store.record, notices, active)

    async def history(self, limit: int) -> list[Notice]:
        return await self._try([], self._store.history, limit)

    async def active(self) -> list[Alert]:
        return await self._try([], self._store.active)

    async def keep(self, parcel: Parcel) -> None:
        await self._try(None, self._store.keep, parcel.id, parcel.receiver, parcel.since, parcel.notice)

    async def drop(self, parcel: Parcel) -> None:
        await self._try(None, self._store.drop, parcel.id)

    async def waiting(self) -> list[Parcel]:
        rows: list[tuple[str, str, float, Notice]] = await self._try([], self._store.waiting)
        return [Parcel(*row) for row in rows]

    async def _try(self, otherwise: T, action: Callable[..., T], *arguments: Any) -> T:
        try:
            found = await asyncio.to_thread(action, *arguments)
        except StoreError as error:
            if not self._unwell:
                logger.warning("the memory of alerts cannot be used", extra={"why": str(error)})
            self._unwell = True
            return otherwise
        self._unwell = False
        return found
