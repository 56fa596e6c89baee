"""The operator's own code, and traces."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from equipoise.build.objects import function_named
from equipoise.config import Config
from equipoise.config.hooks import HookConfig
from equipoise.telemetry.hooks import Hook, Hooks

if TYPE_CHECKING:
    from equipoise.telemetry.tracing import Tracing


def hooks_of(config: Config) -> Hooks | None:
    """None where there are none. Raises ImportError, AttributeError or ValueError where one cannot be had."""
    of = config.hooks
    return Hooks(_made(of.before), _made(of.after)) if of.before or of.after else None


def _made(hooks: Sequence[HookConfig]) -> list[Hook]:
    found = [Hook(of.function, function_named(of.function), of.timeout_ms / 1000.0) for of in hooks]
    for hook in found:
        if not callable(hook.function):
            raise ValueError(f"the hook {hook.name} cannot be called")  # noqa: TRY004 - a fault of the configuration
    return found


def tracing_of(config: Config) -> Tracing | None:
    """None where it is off. Raises ValueError where the extra is not installed."""
    of = config.tracing
    if not of.enabled:
        return None
    try:
        from equipoise.telemetry.tracing import Tracing, exporter_to
    except ImportError as error:
        raise ValueError("tracing needs the extra: pip install equipoise[otel]") from error
    logging.getLogger("opentelemetry").handlers[:] = logging.getLogger("equipoise").handlers  # its troubles in our form
    headers = {name: value.reveal() for name, value in of.headers.items()}
    return Tracing(exporter_to(of.endpoint, headers), sample_ratio=of.sample_ratio, service=of.service_name)
