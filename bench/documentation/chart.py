"""What the Helm chart has of the product: the schema of its `config`, and the rules for Prometheus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from equipoise.config.save import json_schema

ROOT = Path(__file__).parents[2]
CHART = "deploy/helm/equipoise"
SILENT = ("title", "default", "description")
"""Words that refuse nothing: the chart's schema does without them."""


def chart() -> dict[str, str]:
    """Path below the checkout -> text."""
    made = {f"{CHART}/values.schema.json": values_schema()}
    for name in ("recording", "alerts"):
        made[f"{CHART}/files/{name}.yaml"] = (ROOT / f"deploy/prometheus/{name}.yaml").read_text("utf-8")
    return made


def values_schema() -> str:
    """The schema as it stands, which people write, with the product's own definitions under `$defs`."""
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text("utf-8"))
    product = json_schema()
    whole = {key: product[key] for key in ("type", "additionalProperties", "required", "properties")}
    schema["$defs"] = _bare({**product["$defs"], "Config": whole})
    return json.dumps(schema, indent=1, sort_keys=False) + "\n"


def _bare(part: Any, named: bool = True) -> Any:
    """Without silent words; `named`: the keys are names of fields, not words of JSON Schema."""
    if isinstance(part, list):
        return [_bare(each, named=False) for each in part]
    if not isinstance(part, dict):
        return part
    kept = {key: value for key, value in part.items() if named or key not in SILENT}
    return {
        key: value if key == "enum" else _bare(value, named=not named and key in ("properties", "patternProperties"))
        for key, value in kept.items()
    }
