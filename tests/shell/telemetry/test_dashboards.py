"""Dashboards and rules are made from code, can be parsed, and speak only of metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from ruamel.yaml import YAML

from bench.grafana.__main__ import expressions, plain, stale
from bench.grafana.pages import PAGES
from equipoise.telemetry import Metrics
from equipoise.telemetry.grafana import CHECKOUT, dashboards

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus"
GUIDE = "PRODUCTION_LOAD_BALANCER_INTEGRATION_GUIDE.md"
OTHERS = {"up"}


def rules() -> Iterator[dict[str, Any]]:
    for file in ("recording.yaml", "alerts.yaml"):
        for group in YAML(typ="safe").load((RULES / file).read_text("utf-8"))["groups"]:
            yield from group["rules"]


def queries() -> list[tuple[str, str]]:
    panels = [(f"{name}: {title}", expr) for name, of in dashboards().items() for title, expr in expressions(of)]
    return panels + [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


QUERIES = queries()


def known() -> set[str]:
    """Every name that a scrape, or a recording rule, can give."""
    names = {rule["record"] for rule in rules() if "record" in rule} | OTHERS
    for name, kind in re.findall(r"# TYPE (\S+) (\S+)", Metrics().render().decode()):
        ends = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        names |= {name + end for end in ends}
    return names


def test_the_committed_dashboards_are_those_of_the_code() -> None:
    """`python -m bench.grafana` makes them anew."""
    assert stale() == [], "run: python -m bench.grafana"
    assert set(dashboards()) == {f"{name}.json" for name in PAGES}


@pytest.mark.parametrize(("where", "expr"), QUERIES, ids=[where for where, _ in QUERIES])
def test_every_query_can_be_parsed_and_asks_for_what_there_is(where: str, expr: str) -> None:
    """A misspelt metric shows an empty panel for ever, and a rule that never fires."""
    promql_parser.parse(plain(expr))
    asked = set(re.findall(r"\b(?:lb|equipoise|backend)[_:][a-z0-9_:]+", expr)) - {"backend_id"}
    assert asked - known() == set()


def test_dashboards_can_be_told_apart_and_hold_no_address() -> None:
    """Unique ids, unique panels, a data source to choose."""
    boards = list(dashboards().values())
    assert len({board["uid"] for board in boards}) == len(boards)
    for board in boards:
        assert board["title"].startswith("Equipoise / ")
        ids = [panel["id"] for panel in board["panels"] if panel.get("id") is not None]
        assert len(set(ids)) == len(ids)
        assert "://" not in json.dumps(board)
        assert [variable["name"] for variable in board["templating"]["list"]] == ["datasource", "backend"]


def test_every_alert_leads_to_a_section_that_exists() -> None:
    """Of the guide's runbook, named as the alert is."""
    guide = (ROOT / GUIDE).read_text("utf-8")
    sections = {heading.lower() for heading in re.findall(r"^### (\w+)$", guide, re.MULTILINE)}
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len(alerts) > 15
    for rule in alerts:
        page, _, section = rule["annotations"]["runbook_url"].partition("#")
        assert page == GUIDE
        assert section in sections
        assert section == rule["alert"].lower()
        assert rule["labels"]["severity"] in ("warning", "critical", "emergency")
        assert rule["annotations"]["summary"]


def test_a_wheel_takes_the_dashboards_with_it() -> None:
    """`equipoise dashboards export` works without a checkout."""
    assert f'"{CHECKOUT.relative_to(ROOT)}" = "equipoise/dashboards"' in (ROOT / "pyproject.toml").read_text("utf-8")
