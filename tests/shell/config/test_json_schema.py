"""What the product takes, its JSON Schema takes, and editors and the Helm chart with it; what it refuses there is refused."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from bench.documentation.chart import CHART, ROOT, values_schema
from equipoise.config.example import example
from equipoise.config.save import json_schema
from tests.shell.config.test_saving import RICH
from tests.shell.config.test_specification import EXAMPLE

HEAD = "backend_instances: {llm: {backend_type: local_llm}}\n"
SHORT = [
    "keys: {app: '${KEY}'}\nadmin_keys: {screen: '${SCREEN}'}",
    "budgets: {all: 5, mine: {usd: 1.5, alerts: [0.5]}, told: '${BUDGET}'}",
    "content: redacted",
    "content: {tenants: {clinic: full}}",
    "routes: {auto: {cache: true, backends: 'llm, other', data_class: phi}}",
    "hooks: {before: ['privacy:redact']}",
    "shared: {redis: {url: 'redis://redis:6379/0'}, postgres: '${DATABASE_URL}'}",
    "alert_email_recipients: '${RECIPIENTS:-}'",
]
WRONG = {
    "listen: {port: 65536}": "65536",
    "listen: {workers: 0}": "0",
    "timeout_seconds: 0": "0",
    "quality_sampling_rate: 1.5": "1.5",
    "strategi: weighted": "strategi",
    "content: everything": "everything",
}


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize("text", [example(), EXAMPLE, RICH, *(HEAD + more for more in SHORT)])
def test_what_loads_is_valid(text: str) -> None:
    """Examples, and every short form."""
    jsonschema_rs.validator_for(json_schema()).validate(read(text))
    jsonschema_rs.validator_for(read(values_schema())).validate(values(read(text)))


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_refused_is_invalid(wrong: str) -> None:
    """Bounds included: pydantic's names for them mean nothing to others."""
    with pytest.raises(jsonschema_rs.ValidationError, match=WRONG[wrong]):
        jsonschema_rs.validator_for(json_schema()).validate(read(HEAD + wrong))
    assert not jsonschema_rs.validator_for(read(values_schema())).is_valid(values(read(HEAD + wrong)))


def values(config: Any) -> dict[str, Any]:
    """Values of the chart with this configuration."""
    return {**read((ROOT / CHART / "values.yaml").read_text()), "config": config}
