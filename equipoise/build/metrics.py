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
"""Scored answers that a learned weight rests on before it is shown."""


def connected(metrics: Metrics, balancer: LoadBalancer, ledger: Ledger | None, config: Config) -> list[Background]:
    """Have metrics look at what they show at a scrape; gives who pushes them."""
    look_at(metrics, balancer)
    if ledger is not None:
        metrics.set_ledger(ledger.health)
    of = config.metrics
    if of.pushgateway_url is None:
        return []
    return [Pusher(of.pushgateway_url, metrics.render, job=of.push_job, interval=of.push_interval_seconds)]


def look_at(metrics: Metrics, balancer: LoadBalancer) -> None:
    """Show this balancer from now on: the one that answers, whoever it took over from. Its parts can be replaced."""
    wall = balancer.selection.clock.wall
    metrics.set_backend_gauges(lambda: balancer.selection.status())
    metrics.set_queue(lambda: balancer.status())
    metrics.set_learned(lambda: weights(balancer))
    metrics.set_learning(lambda: balancer.learning.status() if balancer.learning else {})
    metrics.set_money(lambda: balancer.selection.budgets.status(wall()), lambda: balancer.efficiency.ratio(wall()))


def weights(balancer: LoadBalancer) -> dict[str, dict[str, dict[str, float]]]:
    """Route -> kind of question -> backend -> its learned weight, of routes whose strategy learns."""
    rows = balancer.learning.weights.rows(ENOUGH) if balancer.learning is not None else {}
    table = {kind: {name: row["weight"] for name, row in of.items()} for kind, of in rows.items()}
    return {route: table for route, _ in balancer.selection.learners() if table}


def provisioning_of(config: Config) -> list[Background]:
    """Whoever puts the dashboards into a Grafana; nobody where none is named."""
    if config.grafana.api_url is None or not config.enable_grafana_dashboards:
        return []
    return [Provisioning(grafana_of(config.grafana, config.grafana.api_url))]


def grafana_of(config: GrafanaConfig, url: str) -> Grafana:
    return Grafana(url, config.api_key.reveal() if config.api_key else None, config.folder_uid)
