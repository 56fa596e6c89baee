"""Helm itself renders the chart: what comes out is what Kubernetes takes and what the product has."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import equipoise
from bench.deployment.kustomize import CHART
from bench.deployment.tools import ROOT, rendered
from equipoise.config.load import load
from equipoise.gateway.openapi import LISTENERS
from tests.end_to_end.deploy.conftest import Checked
from tests.end_to_end.deploy.reading import (
    documents,
    metrics_named,
    metrics_there_are,
    only,
    probes,
    refused_by_kubernetes,
    variables,
)

VALUES = {file.name.removesuffix("-values.yaml"): file for file in sorted((CHART / "ci").glob("*.yaml"))}
BACKEND = {"backend_type": "openai_direct"}
GOOD: dict[str, Any] = {"config": {"backend_instances": {"llm": BACKEND}}}


def config(**more: Any) -> dict[str, Any]:
    return {"config": GOOD["config"] | more}


BAD = {
    "no backend": ({}, "missing property 'backend_instances'"),
    "an empty list of backends": ({"config": {"backend_instances": {}}}, "minProperties"),
    "no gateway": (GOOD | {"replicaCount": 0}, "minimum: got 0, want 1"),
    "a misspelt value": (GOOD | {"replicas": 2}, "additional properties 'replicas' not allowed"),
    "a misspelt field of the configuration": (config(strategi="weighted"), "'strategi' not allowed"),
    "an unknown strategy": (config(strategy="luck"), "/config/strategy"),
    "a weight below nothing": (config(backend_instances={"llm": BACKEND | {"weight": -1}}), "exclusiveMinimum"),
    "no Secret": (GOOD | {"existingSecret": ""}, "minLength"),
    "an ingress without a host": (GOOD | {"ingress": {"enabled": True}}, "minItems"),
    "a digest that is none": (GOOD | {"image": {"digest": "latest"}}, "pattern"),
    "SQLite on a shared file system": (GOOD | {"persistence": {"accessMode": "ReadWriteMany"}}, "accessMode"),
    "one volume for many": (GOOD | {"persistence": {"enabled": True}}, "one volume is for one gateway"),
    "one budget for each of many": (config(budgets={"all": {"usd": 5}}), "each of several gateways"),
    "a port for root": (config(listen={"port": 443}), "not root"),
    "probes without a certificate": (
        config(listen={"tls": {"certificate": "c", "key": "k", "client_ca": "a"}}),
        "no client certificate",
    ),
}


@pytest.fixture(scope="module")
def charts() -> dict[str, Any]:
    """What Helm makes of each set of values, and its lint."""
    loaded = {name: YAML(typ="safe").load(file.read_text()) for name, file in VALUES.items()}
    told, lint = rendered(CHART, [(values, "equipoise") for values in loaded.values()])
    assert [each.get("error") for each in told] == [None] * len(told)
    manifests = {name: each["files"] for name, each in zip(VALUES, told, strict=True)}
    return {"manifests": manifests, "lint": lint}


@pytest.mark.parametrize("name", VALUES)
def test_kubernetes_takes_what_comes_out(name: str, charts: dict[str, Any], tmp_path: Path) -> None:
    """By the schemas of an old and a new version, without a field they do not know."""
    assert refused_by_kubernetes("\n---\n".join(charts["manifests"][name].values()), tmp_path) == []


@pytest.mark.parametrize("name", VALUES)
def test_the_gateway_takes_its_configuration(name: str, charts: dict[str, Any], checked: Checked) -> None:
    """`equipoise check` of the ConfigMap; the container's port is the listener's, and SIGTERM has time to drain."""
    found = documents(*charts["manifests"][name].values())
    text = only(found, "ConfigMap")["data"]["equipoise.yaml"]
    checked(text, variables(text))
    written = YAML(typ="safe").load(text)
    pod = only(found, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["ports"][0]["containerPort"] == written["listen"]["port"]
    listen = written["listen"]
    assert pod["terminationGracePeriodSeconds"] >= 10 + math.ceil(
        listen["drain_notice_seconds"] + listen["drain_seconds"]
    )
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {written["state_dir"], "/etc/equipoise", "/tmp"} <= mounts
    assert container["args"][-1] == "/etc/equipoise/equipoise.yaml"


@pytest.mark.parametrize("name", VALUES)
def test_every_path_and_metric_that_is_asked_for_is_there(name: str, charts: dict[str, Any]) -> None:
    """Probes, the monitor's path, the autoscaler's metric, and the rules."""
    found = documents(*charts["manifests"][name].values())
    public = {operation.path for operation in LISTENERS["public"]}
    asked = probes(only(found, "Deployment"))
    assert set(asked) == {"startupProbe", "livenessProbe", "readinessProbe"}
    assert {probe["path"] for probe in asked.values()} <= public
    if name != "everything":
        return
    (scraped,) = only(found, "ServiceMonitor")["spec"]["endpoints"]
    assert scraped["path"] in public
    shown = scraped["authorization"]["credentials"]
    accepted = YAML(typ="safe").load(only(found, "ConfigMap")["data"]["equipoise.yaml"])["keys"]["prometheus"]
    assert (accepted["key"], accepted["routes"]) == ("${" + shown["key"] + "}", [])
    assert (
        shown["name"]
        == only(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["secretRef"]["name"]
    )
    assert {probe["scheme"] for probe in asked.values()} == {"HTTPS"}
    scaled = only(found, "HorizontalPodAutoscaler")["spec"]["metrics"][0]["pods"]["metric"]["name"]
    adapter = YAML(typ="safe").load((ROOT / "deploy/kubernetes/prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert scaled == rule["name"]["as"]
    rules = only(found, "PrometheusRule")["spec"]["groups"]
    named = metrics_named([rule["expr"] for group in rules for rule in group["rules"]])
    assert {scaled, *metrics_named([rule["seriesQuery"]]), *named} <= metrics_there_are()
    assert len(named) > 10


def test_the_rules_are_the_committed_ones(charts: dict[str, Any]) -> None:
    """All of them, with the address of the runbook before each section."""
    rules = only(documents(*charts["manifests"]["everything"].values()), "PrometheusRule")["spec"]["groups"]
    written = [
        group
        for name in ("recording", "alerts")
        for group in YAML(typ="safe").load((ROOT / f"deploy/prometheus/{name}.yaml").read_text())["groups"]
    ]
    for group in written:
        for rule in group["rules"]:
            if "annotations" in rule:
                rule["annotations"]["runbook_url"] = (
                    "https://runbooks.example.org/" + rule["annotations"]["runbook_url"]
                )
    assert rules == written


@pytest.mark.parametrize("name", VALUES)
def test_a_gateway_may_do_little(name: str, charts: dict[str, Any]) -> None:
    """Not root, nothing written but where it must, no capability, no token of the cluster, no secret in the manifests."""
    found = documents(*charts["manifests"][name].values())
    for document in found:
        if document["kind"] not in ("Deployment", "Pod"):
            continue
        pod = document["spec"]["template"]["spec"] if document["kind"] == "Deployment" else document["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip
        assert container["resources"]["limits"]["memory"]
    assert not [document for document in found if document["kind"] == "Secret"]


def test_what_is_switched_off_is_not_there(charts: dict[str, Any]) -> None:
    """And what selects pods selects the gateways' and nobody else's."""
    kinds = {name: {d["kind"] for d in documents(*files.values())} for name, files in charts["manifests"].items()}
    plain = {"ConfigMap", "Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "Pod"}
    assert kinds["minimal"] == plain
    assert kinds["one-gateway"] == {"ConfigMap", "Deployment", "Service", "PersistentVolumeClaim", "Pod"}
    more = {"HorizontalPodAutoscaler", "Ingress", "ServiceMonitor", "PrometheusRule"}
    assert kinds["everything"] == plain | more
    for files in charts["manifests"].values():
        found = documents(*files.values())
        labels = only(found, "Deployment")["spec"]["template"]["metadata"]["labels"]
        selector = only(found, "Service")["spec"]["selector"]
        assert selector.items() <= labels.items()
        assert not selector.items() <= only(found, "Pod")["metadata"]["labels"].items()


def test_helm_finds_nothing_wrong(charts: dict[str, Any]) -> None:
    """Beyond that the chart has no picture; and its versions are the product's."""
    assert [m["error"] for m in charts["lint"]["messages"] if m["severity"] > 1] == []
    about = YAML(typ="safe").load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == equipoise.__version__


def test_bad_values_are_refused_in_words() -> None:
    """By the schema, which is the product's own for `config`, or by a sentence."""
    told, _ = rendered(CHART, [(GOOD, "x"), *((values, "x") for values, _ in BAD.values())])
    good, *bad = told
    assert "error" not in good
    missed = {
        name: each.get("error", "accepted")
        for (name, (_, words)), each in zip(BAD.items(), bad, strict=True)
        if words not in each.get("error", "")
    }
    assert missed == {}


def test_large_numbers_stay_numbers(tmp_path: Path) -> None:
    """Helm may write them with an exponent."""
    values = config(listen={"max_body_bytes": 268_435_456}, keys={"a": "${A}"})
    (told,), _ = rendered(CHART, [(values, "x")])
    (tmp_path / "c.yaml").write_text(only(documents(*told["files"].values()), "ConfigMap")["data"]["equipoise.yaml"])
    loaded = load(tmp_path / "c.yaml", environ={"A": "sk-eq-" + "0" * 48, "OPENAI_API_KEY": "sk"}).config
    assert loaded.listen.max_body_bytes == 268_435_456
