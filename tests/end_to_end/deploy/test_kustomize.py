"""kubectl itself builds the base and the example: the chart's manifests in another form."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.deployment import tools
from bench.deployment.kustomize import FOLDER, manifests
from equipoise.config.load import load
from tests.end_to_end.deploy.conftest import Checked
from tests.end_to_end.deploy.reading import documents, only, refused_by_kubernetes, variables

PLACES = ("base", "overlays/production")


def built(place: str) -> str:
    """What would be applied."""
    done = tools.run("kubectl", "kustomize", str(tools.ROOT / FOLDER / place))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_base_is_the_chart() -> None:
    """`python -m bench.deployment` makes it anew."""
    stale = [name for name, text in manifests().items() if (tools.ROOT / name).read_text("utf-8") != text]
    assert stale == [], "run: python -m bench.deployment"


@pytest.mark.parametrize("place", PLACES)
def test_kubernetes_takes_what_is_built(place: str, tmp_path: Path) -> None:
    """By the schemas of an old and a new version, without a field they do not know."""
    assert refused_by_kubernetes(built(place), tmp_path) == []


@pytest.mark.parametrize("place", PLACES)
def test_the_gateway_takes_its_configuration(place: str, checked: Checked, tmp_path: Path) -> None:
    """Under the hashed name that the Deployment mounts, with time to drain."""
    found = documents(built(place))
    config, pod = only(found, "ConfigMap"), only(found, "Deployment")["spec"]["template"]["spec"]
    text = config["data"]["equipoise.yaml"]
    checked(text, variables(text))
    assert {"name": "config", "configMap": {"name": config["metadata"]["name"]}} in pod["volumes"]
    (tmp_path / "c.yaml").write_text(text)
    listen = load(tmp_path / "c.yaml", environ=variables(text)).config.listen
    assert listen.drain_notice_seconds + listen.drain_seconds + 10 <= pod["terminationGracePeriodSeconds"]
    assert listen.port == pod["containers"][0]["ports"][0]["containerPort"]


def test_the_example_changes_what_it_says() -> None:
    """Namespace, image, replicas left to the autoscaler, and the rules for Prometheus."""
    found = documents(built("overlays/production"))
    assert {document["metadata"]["namespace"] for document in found} == {"answers"}
    deployment = only(found, "Deployment")
    assert "replicas" not in deployment["spec"]
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"].startswith("registry.example.org/")
    assert only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert only(found, "PrometheusRule")["spec"]["groups"]
