"""The section `migration:` and what comes of each of its fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from equipoise.backends import LightRAGClient, OpenAIClient
from equipoise.build import build
from equipoise.config import ConfigurationError
from equipoise.config.load import load
from equipoise.config.migration import MigrationConfig
from equipoise.config.save import plain
from equipoise.migration import HTTPIncumbent, IncumbentClient, Settings, from_config
from equipoise.migration.assembly import settings_of

BACKENDS = {"graph": {"backend_type": "lightrag", "endpoint_url": "http://127.0.0.1:9621"}}
ENDPOINT = {"endpoint_url": "http://127.0.0.1:8000/ask", "question_field": "query"}


def section(**fields: Any) -> MigrationConfig:
    found = load({"backend_instances": BACKENDS, "migration": {"incumbent": ENDPOINT, **fields}}).config.migration
    assert found is not None
    return found


def router(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("incumbent", "kind"),
    [
        (ENDPOINT, HTTPIncumbent),
        ({"backend_type": "lightrag", "endpoint_url": "http://127.0.0.1:9621"}, LightRAGClient),
        ({"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:11434/v1"}, OpenAIClient),
        ({"function": f"{__name__}:router"}, IncumbentClient),
    ],
)
async def test_the_old_side_may_be_of_four_kinds(incumbent: dict[str, Any], kind: type, tmp_path: Path) -> None:
    """An endpoint of its own, LightRAG, an OpenAI-compatible URL, a Python object; never with a breaker of ours."""
    said = {"backend_instances": BACKENDS, "state_dir": str(tmp_path), "migration": {"incumbent": incumbent}}
    config = load(said).config
    estate = build(config)
    migration = from_config(config, estate)
    assert migration is not None
    assert estate.balancer is migration.balancer
    assert isinstance(estate.balancer.clients["incumbent"], kind)
    assert not migration.balancer.control.backends["incumbent"].options.breaker.enabled
    await estate.balancer.close()


async def test_without_the_section_there_is_no_migration(tmp_path: Path) -> None:
    """And the balancer stays what it is."""
    config = load({"backend_instances": BACKENDS, "state_dir": str(tmp_path)}).config
    estate = build(config)
    before = estate.balancer
    assert from_config(config, estate) is None
    assert estate.balancer is before
    await before.close()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"incumbent": {}}, "needs function"),
        ({"incumbent": {"backend_type": "lightrag"}}, "needs endpoint_url"),
        ({"incumbent": {"question_field": "q"}}, "needs endpoint_url"),
        ({"incumbent": ENDPOINT | {"id": "old"}}, "leave it out"),
        ({"incumbent": ENDPOINT, "hold_minutes": {6: 1}}, "hold_minutes"),
        ({"incumbent": ENDPOINT, "shadow": {"share": 2}}, "share"),
        ({"incumbent": ENDPOINT, "validation": {"queries": []}}, "queries"),
        ({"incumbent": ENDPOINT, "speed": "fast"}, "speed"),
    ],
)
def test_what_cannot_be_is_refused_in_words(said: dict[str, Any], told: str) -> None:
    """Before anything runs."""
    with pytest.raises(ConfigurationError, match=told):
        load({"backend_instances": BACKENDS, "migration": said})


def test_the_old_side_s_name_is_not_free_during_a_move() -> None:
    """Records of both would be one."""
    both = {"incumbent": BACKENDS["graph"]}
    with pytest.raises(ConfigurationError, match="old side"):
        load({"backend_instances": both, "migration": {"incumbent": ENDPOINT}})
    assert load({"backend_instances": both}).config.migration is None


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ({"hold_minutes": {2: 5}}, "holds", {2: 300.0}),
        ({"criteria": {"response_time_ms": 9000}}, "criteria.response_time_ms", 9000.0),
        ({"criteria": {"success_rate_percentage": 99}}, "criteria.success_rate_percentage", 99.0),
        ({"criteria": {"cost_efficiency_ratio": 1}}, "criteria.cost_efficiency_ratio", 1.0),
        ({"criteria": {"quality_score_minimum": 0.9}}, "criteria.quality_score_minimum", 0.9),
        ({"criteria": {"minimum_requests": 7}}, "criteria.minimum_requests", 7),
        ({"salt": "spring"}, "salt", "spring"),
        ({"split_by_tenant": True}, "tenants_are_keys", True),
        ({"shadow": {"share": 0.5}}, "shadow_share", 0.5),
        ({"shadow": {"max_usd_per_hour": 2}}, "shadow_per_hour", 2_000_000_000),
        ({"shadow": {"parallel": 9}}, "shadow_parallel", 9),
        ({"validation": {"max_usd": 0.25}}, "validation_cost", 250_000_000),
        ({"validation": {"queries": ["Why?"]}}, "validation_queries", ("Why?",)),
    ],
)
def test_each_field_becomes_a_setting(said: dict[str, Any], field: str, value: object) -> None:
    """And differs from what it is when left out."""
    given, default = settings_of(section(**said)), settings_of(section())
    for name in field.split("."):
        given, default = getattr(given, name), getattr(default, name)
    assert given == value != default


def test_the_defaults_are_the_specification_s() -> None:
    """Criteria and validation queries; no gate waits for a feature any more."""
    ours = settings_of(section())
    assert (ours.criteria, ours.validation_queries) == (Settings().criteria, Settings().validation_queries)
    assert ours.pending == {}
    assert ours.holds == {1: 3600.0, 2: 3600.0, 3: 3600.0, 4: 3600.0}


def test_a_key_of_the_old_side_is_never_shown() -> None:
    """In the configuration as it is dumped."""
    told = {"incumbent": ENDPOINT | {"api_key": "sk-very-secret-words", "headers": {"x-app": "hidden-value"}}}
    dumped = str(plain(load({"backend_instances": BACKENDS, "migration": told}).config, everything=True))
    assert "very-secret" not in dumped
    assert "hidden-value" not in dumped
