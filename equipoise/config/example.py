"""A commented example configuration, made from the schema, so that it names every field and is never out of date."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from equipoise.config.alerts import AlertsConfig
from equipoise.config.backend import BackendConfig, PriceConfig
from equipoise.config.cache import CacheConfig
from equipoise.config.canary import CanaryConfig
from equipoise.config.fields import Section
from equipoise.config.hooks import HooksConfig, TracingConfig
from equipoise.config.idempotency import IdempotencyConfig
from equipoise.config.learning import LearningConfig
from equipoise.config.metrics import GrafanaConfig, MetricsConfig
from equipoise.config.quality import QualityConfig
from equipoise.config.save import to_yaml
from equipoise.config.schema import Config
from equipoise.config.sections import LedgerConfig, ListenConfig, LogConfig, RetryConfig, RouteConfig

HEAD = """\
# Equipoise configuration. Lines that begin with "# " and a name show a default.
# Check it with `equipoise check`, see where each value comes from with `equipoise config show --origin`.
# Values may hold ${VARIABLE} or ${VARIABLE:-default}; secrets may also be file:/path/to/secret.
"""
BACKENDS = """\
backend_instances:
  lightrag:
    backend_type: lightrag
    endpoint_url: ${LIGHTRAG_URL:-http://127.0.0.1:9621}
    # The key is LIGHTRAG_API_KEY from the environment, where the server wants one.

  perplexity:
    backend_type: perplexity
    # The key is PERPLEXITY_API_KEY from the environment, the address https://api.perplexity.ai.

  # Any OpenAI-compatible server:
  # ollama:
  #   backend_type: local_llm
  #   endpoint_url: http://127.0.0.1:11434/v1
  #   model: llama3.2
"""
NAMED = """\
# Names that clients may ask for as their `model`:
# routes:
#   careful:
#     backends: [lightrag]
#     strategy: quality_based
#     fallback: [perplexity]
{route}
# aliases:
#   gpt-4o: auto
#   sonar-pro: perplexity

# Keys that clients must show; without any, only this machine is served.
# keys:
#   app: ${{APP_KEY}}
#   team: {{sha256: 64 hexadecimal digits, tenant: team}}
"""
SECTIONS: dict[str, type[Section]] = {
    "alerts": AlertsConfig,
    "hooks": HooksConfig,
    "tracing": TracingConfig,
    "metrics": MetricsConfig,
    "grafana": GrafanaConfig,
    "listen": ListenConfig,
    "retry": RetryConfig,
    "idempotency": IdempotencyConfig,
    "cache": CacheConfig,
    "ledger": LedgerConfig,
    "quality": QualityConfig,
    "canary": CanaryConfig,
    "learning": LearningConfig,
    "log": LogConfig,
}
OWN_TEXT = ("backend_instances", "routes", "aliases", "keys")


def example() -> str:
    """The text that `equipoise init` writes; valid as it stands, without any key."""
    fields = {name: field for name, field in Config.model_fields.items() if name not in (*OWN_TEXT, *SECTIONS)}
    everything = [HEAD, BACKENDS, "  # What a backend may say, with its defaults:"]
    everything += _lines(_without(BackendConfig, "id", "price"), "  #   ")
    everything += ["  #   price:", *_lines(PriceConfig.model_fields, "  #     "), ""]
    everything += [*_lines(fields, "# "), "", NAMED.format(route="\n".join(_route_lines()))]
    for name, section in SECTIONS.items():
        everything += [f"# {name}:", *_lines(section.model_fields, "#   "), ""]
    return "\n".join(everything)


def _without(section: type[Section], *names: str) -> dict[str, FieldInfo]:
    return {name: field for name, field in section.model_fields.items() if name not in names}


def _route_lines() -> list[str]:
    return list(_lines(_without(RouteConfig, "backends", "strategy", "fallback"), "#     "))


def _lines(fields: dict[str, FieldInfo], indent: str, of: Section | None = None) -> Iterator[str]:
    """Each field with its default; where the section itself is a default (`of`), with the value it has there."""
    for name, field in fields.items():
        described = textwrap.wrap(field.description or "", 116 - len(indent))
        yield from (f"{indent}# {line}" for line in described)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if isinstance(default, Section):
            yield f"{indent}{name}:"
            yield from _lines(type(default).model_fields, indent + "  ", default)
        else:
            yield f"{indent}{name}: {_default(field, None if of is None else getattr(of, name))}"


def _default(field: FieldInfo, given: Any = None) -> str:
    if field.is_required():
        return "..."
    value: Any = field.get_default(call_default_factory=True) if given is None else given
    if isinstance(value, tuple) and value:
        return json.dumps(list(value))
    if isinstance(value, tuple | frozenset):
        value = sorted(value)
    if value in ([], {}):
        return "[]" if value == [] else "{}"
    return "null" if value is None else to_yaml({"v": getattr(value, "value", value)}).removeprefix("v: ").strip()
