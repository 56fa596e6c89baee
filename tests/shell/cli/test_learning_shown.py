"""`equipoise learning show` against a gateway in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import until_true
from tests.shell.cli.conftest import Run, Served, start
from tests.shell.cli.test_reloading import call

CONFIG = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer"}
  seer: {backend_type: function, function: "answers:answer"}
routes:
  auto: {}
  clinic: {strategy: adaptive_learning, explore: shadow}
strategy: adaptive_learning
quality_sampling_rate: 0
weight_adjustment_frequency_minutes: 0.002
learning: {shadow_share: 1.0}
state_dir: state
"""


@pytest.fixture
def learning(oracle: Path) -> Iterator[Served]:
    """A gateway of two backends that learns."""
    oracle.write_text(CONFIG)
    process = start("serve", "--port", "0", folder=oracle.parent)
    assert process.stdout is not None
    gateway = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield gateway
    if process.poll() is None:
        gateway.stop()


def ask(served: Served, model: str) -> str:
    """The id of a request that was answered."""
    body = {"model": model, "messages": [{"role": "user", "content": "six times seven?"}]}
    status, told = call(served.url + "/v1/chat/completions", body)
    assert status == 200
    return str(told["id"])


def test_feedback_moves_beliefs_and_weights_and_both_are_shown(learning: Served, run: Run) -> None:
    """Beside each other, by kind and backend, with intervals; too few answers are said to be too few."""
    before = run("learning", "show", "--admin-url", learning.admin_url)
    assert "auto/adaptive_learning: learning decides, explore live" in before.out
    for _ in range(12):
        told = json.loads(run("ask", "six times seven?", "--url", learning.url, "--json").out)
        status, _ = call(
            learning.url + "/v1/feedback", {"request_id": told["request_id"], "type": "expert", "score": 0.2}
        )
        assert status in (200, 202)

    def known() -> bool:
        found = call(learning.admin_url + "/admin/learning")[1]["learned_weights"]
        return sum(row["answers"] for rows in found.values() for row in rows.values()) >= 12

    until_true(known)
    shown = run("learning", "show", "--admin-url", learning.admin_url).out
    assert "believed quality" in shown
    assert "learned weight" in shown
    told = json.loads(run("learning", "show", "--admin-url", learning.admin_url, "--json").out)
    believed = told["policies"]["auto/adaptive_learning"]["believed"]["general"]
    assert all(0.0 <= row["low"] <= row["mean"] <= row["high"] <= 1.0 for row in believed.values())
    weights = told["learned_weights"]["general"]
    assert min(row["weight"] for row in weights.values()) < 1.0


def test_a_clinical_route_is_never_explored_on_and_its_copies_are_counted(learning: Served, run: Run) -> None:
    """Every live choice is certain; labels are bought beside it, under a cap, and the command says how many."""
    for _ in range(6):
        body = {"model": "clinic", "messages": [{"role": "user", "content": "six times seven?"}]}
        assert call(learning.admin_url + "/admin/route/explain", body)[1]["probability"] == 1.0
        ask(learning, "clinic")
    until_true(lambda: call(learning.admin_url + "/admin/learning")[1]["copies"]["answered"] > 0)
    ran = run("learning", "show", "--admin-url", learning.admin_url)
    assert "copies for labels:" in ran.out + ran.err
