"""What an operator may say of code of his own that sees questions and answers, and of traces."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from equipoise.config.fields import EmptyIsNone, Positive, Section, Share, Text, Url
from equipoise.config.secret import Secret


def _plain(data: Any) -> Any:
    return {"function": data} if isinstance(data, str) else data


class HookConfig(Section):
    """A Python function `function(value, context)`, plain or async, that gives a changed value or nothing."""

    function: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
    """module:function."""
    timeout_ms: Positive = 200.0
    """Milliseconds it has; then the request goes on without it."""


NamedHook = Annotated[HookConfig, BeforeValidator(_plain, json_schema_input_type=HookConfig | str)]


class HooksConfig(Section):
    """Code of your own beside a question and its answer."""

    before: tuple[NamedHook, ...] = ()
    """Called with each question (equipoise.Question) before it is asked."""
    after: tuple[NamedHook, ...] = ()
    """Called with each answer (equipoise.Answer); of a stream when it is over."""


class TracingConfig(Section):
    """Spans by OpenTelemetry's OTLP, with its conventions for generative AI. Needs equipoise[otel]."""

    enabled: bool = False
    """Whether spans are made; the client's trace context is passed on in any case."""
    endpoint: Annotated[Url | None, EmptyIsNone] = None
    """Where spans go, such as http://collector:4318/v1/traces; what OTEL_EXPORTER_OTLP_* say when absent."""
    headers: dict[Text, Secret] = Field(default_factory=dict)
    """Headers for the collector."""
    sample_ratio: Share = 0.1
    """Share of questions that are traced where the client does not say so itself."""
    service_name: Text = "equipoise"
    """The service that they are spans of."""
