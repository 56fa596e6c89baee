"""The Kustomize base, as the Helm chart renders it without Helm's own labels: one truth in two forms."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ruamel.yaml import YAML

from bench.deployment.tools import ROOT, rendered

CHART = ROOT / "deploy" / "helm" / "equipoise"
FOLDER = "deploy/kustomize"
MADE = "# Made from the chart by `python -m bench.deployment`; changes here are lost.\n"
BASE = ("serviceaccount", "deployment", "service", "poddisruptionbudget", "networkpolicy")
COMPONENTS = {"autoscaling": ("horizontalpodautoscaler",), "monitoring": ("servicemonitor", "prometheusrule")}
OF_HELM = re.compile(r"^ *(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*\n", re.MULTILINE)


def manifests() -> dict[str, str]:
    """Path below the checkout -> text."""
    minimal = YAML(typ="safe").load((CHART / "ci" / "minimal-values.yaml").read_text("utf-8"))
    everything = {name: {"enabled": True} for name in ("autoscaling", "serviceMonitor", "prometheusRule")}
    (plain, more), _ = rendered(CHART, [(minimal, "equipoise"), (minimal | everything, "equipoise")])
    made = dict(_written("base", BASE, plain["files"]))
    for component, names in COMPONENTS.items():
        made |= dict(_written(f"components/{component}", names, more["files"]))
    config = YAML(typ="safe").load(plain["files"]["equipoise/templates/configmap.yaml"])
    made[f"{FOLDER}/base/equipoise.yaml"] = MADE + config["data"]["equipoise.yaml"]
    return made


def _written(folder: str, names: tuple[str, ...], files: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name in names:
        text = OF_HELM.sub("", files[f"equipoise/templates/{name}.yaml"])
        yield f"{FOLDER}/{folder}/{name}.yaml", MADE + text.strip() + "\n"
