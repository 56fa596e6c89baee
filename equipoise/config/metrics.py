"""What an operator may say of metrics that are pushed, and of the Grafana that shows them."""

from __future__ import annotations

from typing import Annotated

from equipoise.config.fields import EmptyIsNone, Positive, Section, Text, Url
from equipoise.config.secret import Secret


class MetricsConfig(Section):
    """Who may read metrics, and where they are pushed for processes that nobody can scrape."""

    open: bool = False
    """Whether /metrics needs no key off this machine either: something in front lets nobody but the scraper come there."""
    pushgateway_url: Annotated[Url | None, EmptyIsNone] = None
    """A Prometheus push gateway; nothing is pushed without one."""
    push_interval_seconds: Positive = 15.0
    """Seconds between two pushes."""
    push_job: Text = "equipoise"
    """The job they are pushed as."""


class GrafanaConfig(Section):
    """The Grafana that gets the dashboards."""

    api_url: Annotated[Url | None, EmptyIsNone] = None
    """Its address; nothing is put anywhere without one."""
    api_key: Annotated[Secret | None, EmptyIsNone] = None
    """A service account's token that may write dashboards."""
    folder_uid: Annotated[Text | None, EmptyIsNone] = None
    """The folder they go into; Grafana's own when absent."""
