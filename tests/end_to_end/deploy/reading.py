"""What manifests say: their documents, what Kubernetes' schemas think of them, which paths and metrics they name."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from bench.deployment import tools
from equipoise.telemetry.prometheus import Metrics

VERSIONS = ("1.31", "1.37")
CUSTOM = {"ServiceMonitor", "PrometheusRule"}
"""Of the Prometheus operator; Kubernetes itself has no schema of them."""
ADDRESS = "postgresql://equipoise@postgres/equipoise"
KEY = "sk-eq-0123456789abcdef0123456789abcdef0123456789abcdef"


def documents(*texts: str) -> list[dict[str, Any]]:
    """All documents that are not empty."""
    return [document for text in texts for document in YAML(typ="safe").load_all(text) if document]


def only(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The one of this kind."""
    (one,) = (document for document in found if document["kind"] == kind)
    return one


def refused_by_kubernetes(text: str, folder: Path) -> list[str]:
    """What the schemas of an old and a new Kubernetes say, unknown fields included; custom kinds aside."""
    file = folder / "manifests.yaml"
    file.write_text(text)
    said = []
    for version in VERSIONS:
        done = tools.run("kubernetes_validate", "--strict", "-k", version, str(file))
        lines = (done.stdout + done.stderr).splitlines()
        said += [
            line for line in lines if not line.startswith("INFO") and not any(f"kind {k} " in line for k in CUSTOM)
        ]
        assert any(line.startswith("INFO") and "passed" in line for line in lines), lines
    return said


def variables(text: str) -> dict[str, str]:
    """A value for each ${VARIABLE} of a configuration, and the clients' key."""
    named = {name: ADDRESS if name.endswith("_URL") else key_of(name) for name in re.findall(r"\$\{(\w+)", text)}
    return named | {"EQUIPOISE_API_KEY": key_of("EQUIPOISE_API_KEY")}


def key_of(name: str) -> str:
    """A key like ours, another for each name: two of one value are refused."""
    return f"sk-eq-{hashlib.sha256(name.encode()).hexdigest()[:48]}"


def probes(deployment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The probes of its one container, by name."""
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {name: probe["httpGet"] for name, probe in container.items() if name.endswith("Probe")}


def metrics_named(expressions: Iterator[str] | list[str]) -> set[str]:
    """Metrics of ours in expressions of PromQL, without the recorded ones."""
    return {name for text in expressions for name in re.findall(r"(?<![\w:])(?:lb|equipoise)_\w+(?![\w:])", text)}


def metrics_there_are() -> set[str]:
    """As /metrics has them, with what a histogram and a counter add to a name."""
    names = re.findall(r"# TYPE (\S+)", Metrics().render().decode())
    return {name + more for name in names for more in ("", "_bucket", "_sum", "_count")}
