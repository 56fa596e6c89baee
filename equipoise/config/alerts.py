"""What an operator may say of alerts: how bad is bad, and who is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from equipoise.config.fields import Count, EmptyIsNone, FilePath, NotNegative, Port, Positive, Section, Text, Texts
from equipoise.config.secret import Secret

SeverityName = Literal["info", "warning", "critical", "emergency"]


def _address(value: Secret | None) -> Secret | None:
    """An http(s) address; its text is not shown, for it may hold a token."""
    if value is None:
        return None
    parts = urlsplit(value.reveal())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://host/path")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password")
    return value


AlertAddress = Annotated[Secret | None, EmptyIsNone, AfterValidator(_address)]
Level = NotNegative | None


class LevelsConfig(Section):
    """From which value on it is how bad; null leaves a level out."""

    warning: Level = None
    """A warning."""
    critical: Level = None
    """Critical."""
    emergency: Level = None
    """An emergency."""


def _levels(warning: float, critical: float, emergency: float) -> Any:
    return Field(default=LevelsConfig(warning=warning, critical=critical, emergency=emergency))


class ThresholdsConfig(Section):
    """The specification's levels: milliseconds, shares, counts."""

    response_time_ms: LevelsConfig = _levels(1000, 2000, 5000)
    """What 95 % of the answers of the last minutes stay under, in milliseconds."""
    error_rate: LevelsConfig = _levels(0.05, 0.15, 0.30)
    """Share of requests that end with a 5xx."""
    availability: LevelsConfig = _levels(0.95, 0.90, 0.80)
    """Share of the time that a backend can be asked; bad when below."""
    health_score: LevelsConfig = _levels(0.8, 0.6, 0.4)
    """A backend's health; bad when below."""
    consecutive_failures: LevelsConfig = _levels(3, 5, 10)
    """Failures of a backend in a row."""
    quality: LevelsConfig | None = None
    """Mean quality of a backend's scored answers, bad when below; `minimum_quality_threshold` and 0.1 steps when absent."""
    cpu: LevelsConfig = _levels(0.70, 0.85, 0.95)
    """Share of one processor core that the gateway keeps busy."""
    memory: LevelsConfig = _levels(0.70, 0.85, 0.95)
    """Share of the machine's (or container's) memory in use."""
    disk: LevelsConfig = _levels(0.70, 0.85, 0.90)
    """Share of the disk in use that holds the state."""


class WebhookConfig(Section):
    """One address that alerts are posted to."""

    url: Annotated[Secret, AfterValidator(_address)]
    """Where to. Kept secret: such addresses often hold a token."""
    form: Literal["json", "slack"] = "json"
    """Our JSON, or a Slack message."""
    secret: Annotated[Secret | None, EmptyIsNone] = None
    """Signs each post (HMAC-SHA256, x-equipoise-signature)."""
    minimum_severity: SeverityName = "warning"
    """The least that is sent there."""
    rules: Texts | None = None
    """Only these rules; all when absent."""


class EmailConfig(Section):
    """The server that takes mails."""

    host: Text = "localhost"
    """Its name."""
    port: Port = 25
    """Its port; often 587 (starttls) or 465 (tls)."""
    security: Literal["auto", "starttls", "tls", "none"] = "auto"
    """auto encrypts where the server offers it; starttls and tls insist."""
    ca_file: FilePath | None = None
    """Authorities (PEM) to trust instead of the system's."""
    username: Annotated[str | None, EmptyIsNone] = None
    """Who signs in; nobody when absent."""
    password: Annotated[Secret | None, EmptyIsNone] = None
    """With this password."""
    sender: Text = "equipoise@localhost"
    """The From of the mails."""
    minimum_severity: SeverityName = "warning"
    """The least that is mailed."""


class AlertsConfig(Section):
    """What is worth an alert, and how it is sent."""

    enabled: bool = True
    """Whether anything is watched at all."""
    interval_seconds: Positive = 15.0
    """Seconds between two looks."""
    window_seconds: Positive = 300.0
    """Seconds of requests that shares and percentiles are taken of."""
    minimum_requests: Count = 20
    """Requests a share needs before it says anything."""
    suppression_seconds: NotNegative = 300.0
    """Seconds in which the same alert is not told twice, unless it got worse."""
    repeat_seconds: Positive = 14_400.0
    """Seconds between reminders of an alert that nobody has acknowledged."""
    thresholds: ThresholdsConfig = ThresholdsConfig()
    """How bad is bad."""
    webhooks: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,64}$")], WebhookConfig] = Field(
        default_factory=dict
    )
    """More addresses, by name."""
    webhook_secret: Annotated[Secret | None, EmptyIsNone] = None
    """Signs what is posted to `alert_webhook_url` and `cost_webhook_url`."""
    cost_webhook_url: AlertAddress = None
    """Where only alerts about money are posted."""
    email: EmailConfig = EmailConfig()
    """The mail server."""
    runbook_url: Text = "PRODUCTION_LOAD_BALANCER_INTEGRATION_GUIDE.md"
    """The page that alerts link to, each to the section of its rule: an address where you keep the documentation."""
    queue: Count = 500
    """Most notices that wait for one receiver."""
