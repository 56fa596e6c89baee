"""Every command and block of the integration guide works as it is printed."""

from __future__ import annotations

import inspect
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from equipoise.config.environment import EVERY_NAME
from equipoise.config.load import load
from equipoise.config.migration import CriteriaConfig, MigrationConfig
from equipoise.config.pending import PENDING_FIELDS, PENDING_VARIABLES
from equipoise.core.rollout import PHASES
from equipoise.telemetry import families as telemetry
from lightrag_integration import PRODUCTION_LB_FEATURES
from tests.wire.guide.blocks import GUIDE, ROOT, Block, blocks
from tests.wire.guide.reader import Reader

TEXT = GUIDE.read_text()
LANGUAGES = {"console", "yaml", "python", "text"}
NEW_SIDE = {"llm": {"backend_type": "local_llm", "endpoint_url": "http://127.0.0.1:1/v1"}}
KEYS = dict.fromkeys(("LIGHTRAG_API_KEY", "PERPLEXITY_API_KEY", "OPENAI_API_KEY", "OLD_ROUTER_KEY"), "a-key")
RUNBOOK = (
    "NoHealthyBackend", "BackendUnhealthy", "CircuitBreakerOpen", "KeyOrQuotaRefused", "BackendThrottled",
    "SilentFailures", "HighErrorRate", "HighLatency", "StreamsInterrupted", "CostRising", "UnpricedAnswers",
    "QualityBelowMinimum", "LedgerUnwell", "MigrationHalted", "CandidateWorse", "MigrationStateNotKept", "GatewayDown",
    "GatewayDraining", "ConfigurationRejected", "HealthCheckFailed",
)  # fmt: skip
"""Alert rules link to these headings: one may be added, none renamed."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="the guide's commands use curl")
async def test_the_guide_can_be_followed_from_its_first_command_to_its_last(tmp_path: Path) -> None:
    """Every console and Python block, in order: nothing fails, and what is printed is what the guide says."""
    reader = Reader(tmp_path)
    await reader.begin()
    try:
        for block in blocks():
            await reader.follow(block)
    finally:
        await reader.end()


@pytest.mark.parametrize("block", [b for b in blocks() if b.language == "yaml"], ids=lambda b: f"line {b.line}")
def test_every_configuration_loads(block: Block) -> None:
    """A YAML block is a valid configuration, or a part of one that is valid beside a backend."""
    data = {"backend_instances": NEW_SIDE, **YAML(typ="safe").load(block.text)}
    assert load(data, environ=KEYS).config.backend_instances


def test_no_block_escapes() -> None:
    """There are no fences of a kind that nothing runs, and what needs real hosts is never called a console."""
    assert {block.language for block in blocks()} == LANGUAGES
    assert TEXT.count("\n```") == 2 * len(blocks())


def test_the_runbook_keeps_its_headings() -> None:
    """A link from an alert rule leads to its section, and each section says what to do."""
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", TEXT.partition("## Runbook")[2], re.M | re.S))
    assert [name for name in sections if name in RUNBOOK] == list(RUNBOOK)
    assert [name for name in RUNBOOK if not re.search(r"\*\*(Look\s+and\s+d|D)o:", sections[name])] == []


def test_what_is_pending_is_said_to_be_and_nothing_else() -> None:
    """The last section names every row of the table, and no row that has gone."""
    rows = re.findall(r"^- .*$", TEXT.partition("### Pending")[2].partition("\n#")[0], re.MULTILINE)
    said = {name for row in rows for name in re.findall(r"`([\w.*]+)`", row)}
    assert said == {*PENDING_FIELDS, *PENDING_VARIABLES}


def test_every_variable_flag_phase_and_criterion_is_named() -> None:
    """The tables are complete, and the numbers in them are those of the code."""
    criteria = CriteriaConfig()
    rows = [f"| {n} | {p.percentage:.0f} %" for n, p in PHASES.items()]
    named = [f"`{name}`" for name in (*EVERY_NAME, *PRODUCTION_LB_FEATURES, *CriteriaConfig.model_fields)]
    assert [name for name in (*rows, *named) if name not in TEXT] == []
    assert f"| at most {criteria.response_time_ms:g} |" in TEXT
    assert f"| at least {criteria.success_rate_percentage:g} |" in TEXT
    assert MigrationConfig.model_fields["hold_minutes"].get_default(call_default_factory=True) == dict.fromkeys(
        (1, 2, 3, 4), 60.0
    )


def test_every_link_leads_somewhere() -> None:
    """Files exist, and so do the headings that are linked to."""
    targets = re.findall(r"\]\(([^)]+)\)", TEXT)
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", TEXT, re.M)
    }
    dead = [t for t in targets if (t[1:] not in headings if t.startswith("#") else not (ROOT / t).exists())]
    assert dead == []


def test_every_metric_that_is_named_exists() -> None:
    """The runbook's expressions are over metrics that /metrics has, under the names it gives them."""
    families = re.findall(r'"((?:lb|equipoise)_\w+)"', Path(inspect.getfile(telemetry)).read_text())
    exported = {family + suffix for family in families for suffix in ("", "_total", "_sum", "_count", "_bucket")}
    named = set(re.findall(r"\b(lb_\w+[a-z]|equipoise_ledger_\w+)\b", TEXT.partition("## Runbook")[2]))
    assert len(named) > 8
    assert named <= exported
