"""What is shown and where it is pushed."""

from __future__ import annotations

from equipoise.balancer import Background, LoadBalancer
from equipoise.config import Config
from equipoise.config.metrics import GrafanaConfig
from equipoise.stores.ledger import Ledger
from equipoise.telemetry.grafana import Grafana, Provisioning
from equipoise.telemetry.prometheus import Metrics
from equipoise.telemetry.push import Pusher

ENOUGH = 10
"""Rewards that a belief rests on before it is shown."""


def connected(metrics: Metrics, balancer: LoadBalancer, ledger: Ledger | None, config: Config) -> list[Background]:
    """Have metrics look at what they show at a scrape; gives who pushes them. The balancer's parts can be replaced."""
    metrics.set_backend_gauges(lambda: balancer.selection.status())
    metrics.set_queue(lambda: balancer.status())
    metrics.set_learned(lambda: beliefs(balancer))
    if ledger is not None:
        metrics.set_ledger(ledger.health)
    of = config.metrics
    if of.pushgateway_url is None:
        return []
    return [Pusher(of.pushgateway_url, metrics.render, job=of.push_job, interval=of.push_interval_seconds)]


def beliefs(balancer: LoadBalancer) -> dict[str, dict[str, dict[str, float]]]:
    """Route -> kind of question -> backend -> what a learning strategy makes of it."""
    selection = balancer.selection
    tables = {route.name: selection.learned(route.name, route.strategy, ENOUGH) for route in selection.routes.values()}
    return {name: table for name, table in tables.items() if table}


def provisioning_of(config: Config) -> list[Background]:
    """Whoever puts the dashboards into a Grafana; nobody where none is named."""
    if config.grafana.api_url is None or not config.enable_grafana_dashboards:
        return []
    return [Provisioning(grafana_of(config.grafana, config.grafana.api_url))]


def grafana_of(config: GrafanaConfig, url: str) -> Grafana:
    return Grafana(url, config.api_key.reveal() if config.api_key else None, config.folder_uid)
