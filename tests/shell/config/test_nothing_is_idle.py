"""Every field means something: what nothing reads stands in the one table of what is to come, and nothing else does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from equipoise.config import BackendConfig, Config, KeyConfig, ListenConfig, PriceConfig, RetryConfig, RouteConfig
from equipoise.config.alerts import AlertsConfig, EmailConfig, LevelsConfig, ThresholdsConfig, WebhookConfig
from equipoise.config.budgets import BudgetConfig
from equipoise.config.canary import CanaryConfig, CopiesConfig
from equipoise.config.content import ContentConfig, TenantContentConfig
from equipoise.config.environment import EVERY_NAME
from equipoise.config.fields import Section
from equipoise.config.hooks import HookConfig, HooksConfig, TracingConfig
from equipoise.config.idempotency import IdempotencyConfig
from equipoise.config.learning import LearningConfig
from equipoise.config.metrics import GrafanaConfig, MetricsConfig
from equipoise.config.pending import PENDING_FIELDS, PENDING_VARIABLES, pending
from equipoise.config.people import AdminKeyConfig, AuditConfig, CORSConfig, JWTConfig
from equipoise.config.quality import JudgeConfig, QualityConfig, QualityWeightsConfig
from equipoise.config.queue import HedgeConfig, QueueConfig
from equipoise.config.sections import LedgerConfig, LogConfig, TLSConfig
from equipoise.config.shared import RedisConfig, SharedConfig
from tests.shell.cli.conftest import ROOT

READERS = (
    *sorted(str(path.relative_to(ROOT)) for path in (Path(ROOT) / "equipoise/build").glob("*.py")),
    "equipoise/cli/serving.py",
    "equipoise/cli/serve.py",
    "equipoise/cli/running.py",
    "equipoise/cli/peopled.py",
    "equipoise/cli/reloading.py",
    "equipoise/canary/assembly.py",
    "equipoise/config/schema.py",
    "equipoise/config/sections.py",
)
SECTIONS: dict[str, type[Section]] = {
    "": Config,
    "backend_instances.*.": BackendConfig,
    "routes.*.": RouteConfig,
    "listen.": ListenConfig,
    "listen.tls.": TLSConfig,
    "retry.": RetryConfig,
    "idempotency.": IdempotencyConfig,
    "queue.": QueueConfig,
    "routes.*.hedge.": HedgeConfig,
    "ledger.": LedgerConfig,
    "learning.": LearningConfig,
    "keys.*.": KeyConfig,
    "admin_keys.*.": AdminKeyConfig,
    "audit.": AuditConfig,
    "jwt.": JWTConfig,
    "cors.": CORSConfig,
    "budgets.*.": BudgetConfig,
    "log.": LogConfig,
    "alerts.": AlertsConfig,
    "alerts.thresholds.": ThresholdsConfig,
    "alerts.thresholds.cpu.": LevelsConfig,
    "alerts.webhooks.*.": WebhookConfig,
    "alerts.email.": EmailConfig,
    "quality.": QualityConfig,
    "quality.weights.": QualityWeightsConfig,
    "quality.judge.": JudgeConfig,
    "canary.": CanaryConfig,
    "canary.copies.": CopiesConfig,
    "hooks.": HooksConfig,
    "hooks.before.": HookConfig,
    "content.": ContentConfig,
    "content.tenants.*.": TenantContentConfig,
    "tracing.": TracingConfig,
    "metrics.": MetricsConfig,
    "grafana.": GrafanaConfig,
    "shared.": SharedConfig,
    "shared.redis.": RedisConfig,
}
FIELDS = [prefix + name for prefix, section in SECTIONS.items() for name in section.model_fields]


def attributes_read() -> Iterator[str]:
    """The names of all attributes that the code reads which turns a configuration into objects."""
    for file in READERS:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Attribute):
                yield node.attr


READ = set(attributes_read()) | {"id"}  # a backend's id is its key, by which it is read


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_read_or_waits_for_its_feature(field: str) -> None:
    """A field that nothing reads is a bug; the table of what is to come names the feature."""
    assert field.rsplit(".", 1)[-1] in READ or pending(field)


def test_every_price_is_read() -> None:
    """Prices go to the core as a mapping, so there the names are keys."""
    source = (Path(ROOT) / "equipoise/core/pricing.py").read_text()
    assert [name for name in PriceConfig.model_fields if f'"{name}"' not in source] == []


def test_the_table_names_only_fields_and_variables_that_exist() -> None:
    """A row for nothing would hide the next bug."""
    assert set(PENDING_FIELDS) <= set(FIELDS)
    assert set(PENDING_VARIABLES) <= set(EVERY_NAME)
