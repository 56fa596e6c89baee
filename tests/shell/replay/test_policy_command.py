"""`equipoise policy replay` and `compare` on a ledger whose truth is known: it was written by a simulation."""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path

import pytest

from equipoise.cli import main
from equipoise.config.load import load
from equipoise.config.scenario import read_scenario
from equipoise.core.events import AnswerScored, AttemptEnded, Event
from equipoise.core.model import Verdict
from equipoise.simulation.assembly import run_of
from equipoise.stores.decisions import stored_decisions
from equipoise.stores.ledger import Ledger
from equipoise.stores.quality import QualityRecords

QUALITY = {"a": 0.9, "b": 0.6, "c": 0.4}
CONFIG = """
backend_instances:
  a: {{backend_type: local_llm, endpoint_url: "http://a:1", model: m, cost_per_1k_tokens: 0.004, weight: {a}}}
  b: {{backend_type: local_llm, endpoint_url: "http://b:1", model: m, cost_per_1k_tokens: {price}, weight: {b}}}
  c: {{backend_type: local_llm, endpoint_url: "http://c:1", model: m, cost_per_1k_tokens: 0.001, weight: {c}}}
strategy: {strategy}
minimum_quality_threshold: 0
state_dir: state
"""
SCENARIO = """
questions: {rate: 4, count: 1200, output_tokens: 100, kinds: {metabolomics: 1, general: 2}}
backends: {a: {slots: 64}, b: {slots: 64}, c: {slots: 64}}
"""


def config(a: float = 1.0, b: float = 1.0, c: float = 1.0, strategy: str = "weighted", price: float = 0.002) -> str:
    return CONFIG.format(a=a, b=b, c=c, strategy=strategy, price=price)


class Scoring:
    """Scores every answer by its backend's true quality, as a judge would some time later."""

    def __init__(self, ledger: Ledger, records: QualityRecords) -> None:
        self._ledger, self._records, self._chance = ledger, records, random.Random(5)

    def observe(self, event: Event) -> None:
        self._ledger.observe(event)
        if type(event) is not AttemptEnded or event.attempt.outcome.verdict is not Verdict.SUCCESS:
            return
        one = event.attempt
        quality = float(self._chance.random() < QUALITY[one.backend_id])
        self._records.observe(
            AnswerScored(
                request_id=one.request_id,
                attempt=one.number,
                backend_id=one.backend_id,
                route="auto",
                tenant="default",
                kind=one.decision.kind,
                role="answer",
                quality=quality,
                variance=0.01,
                source="judge",
                wall=one.wall,
            )
        )


def recorded(folder: Path, strategy: str, began_ago: float = 0.0) -> Path:
    """A ledger of 1,200 questions answered under this strategy, the first so many seconds ago (0: at a date long fixed)."""
    (folder / "equipoise.yaml").write_text(config(strategy=strategy))
    (folder / "scenario.yaml").write_text(SCENARIO)
    scenario = read_scenario(folder / "scenario.yaml")
    run, crowd = run_of(scenario, load(Path(scenario.config), environ={}).config, None, lambda name: None)
    ledger = Ledger(folder / "ledger.sqlite3", max_age=1e10)
    records = QualityRecords(folder / "ledger.sqlite3", max_age=1e10)
    if began_ago:
        beginning = time.time() - began_ago
        run.clock.wall = lambda: beginning + run.clock.now  # type: ignore[method-assign]
    run.selection.observers.append(Scoring(ledger, records).observe)
    run.play(crowd)
    ledger.close()
    asyncio.run(records.close())
    return folder / "ledger.sqlite3"


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written under a lottery: everything has support."""
    return recorded(tmp_path_factory.mktemp("explored"), "weighted")


@pytest.fixture(scope="module")
def certain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written under a strategy that leaves nothing to chance."""
    return recorded(tmp_path_factory.mktemp("certain"), "round_robin")


def judged(
    ledger: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, object]]:
    (tmp_path / "new.yaml").write_text(text)
    arguments = ["policy", "replay", "--policy", str(tmp_path / "new.yaml"), "--ledger", str(ledger)]
    code = main([*arguments, "--since", "2020-01-01", "--until", "2030-01-01", "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_other_weights_are_judged_as_they_would_have_done(
    explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight in ten to the best: quality and cost by kind too, each interval around the truth; exit code 0."""
    code, told = judged(explored, tmp_path, config(a=8.0), capsys)
    truth = 0.8 * QUALITY["a"] + 0.1 * QUALITY["b"] + 0.1 * QUALITY["c"]
    found = told["measures"]["quality"]  # type: ignore[index]
    assert found["doubly_robust"]["low"] < truth < found["doubly_robust"]["high"]
    assert found["snips"]["low"] < truth < found["snips"]["high"]
    assert (code, told["no_worse"]) == (0, True)
    assert told["measures"]["cost_usd"]["change"]["low"] > 0.0  # type: ignore[index]
    assert set(told["kinds"]) == {"general", "metabolomics"}  # type: ignore[call-overload]


def test_a_worse_policy_is_told_apart(explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything to the worst; exit code 1, cheaper all the same."""
    code, told = judged(explored, tmp_path, config(c=20.0), capsys)
    assert (code, told["no_worse"]) == (1, False)
    assert str(told["verdict"]).startswith("worse")
    assert told["measures"]["cost_usd"]["change"]["high"] < 0.0  # type: ignore[index]


def test_a_policy_that_learns_is_taught_by_the_record(
    explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It begins with the operator's even word and ends with the best; what it would have been worth says so."""
    _, told = judged(explored, tmp_path, config(strategy="adaptive_learning"), capsys)
    assert told["chosen"]["a"] > 0.75  # type: ignore[index]
    assert told["measures"]["quality"]["doubly_robust"]["value"] > 0.8  # type: ignore[index]


def test_other_prices_change_the_bill_and_who_is_cheapest(
    explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a tenth of its price b would be the cheapest, and the whole bill smaller."""
    _, before = judged(explored, tmp_path, config(strategy="cost_optimized"), capsys)
    _, after = judged(explored, tmp_path, config(strategy="cost_optimized", price=0.0002), capsys)
    assert before["chosen"]["c"] > 0.95  # type: ignore[index]
    assert after["chosen"]["b"] > 0.95  # type: ignore[index]


def test_a_certain_past_gives_no_verdict_and_says_what_would(
    certain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the exploration_floor that would have been enough."""
    code, told = judged(certain, tmp_path, config(strategy="quality_based"), capsys)
    assert code == 1
    assert "not enough support" in str(told["verdict"])
    assert "exploration_floor" in str(told["verdict"])


def test_compare_names_who_is_dominated(explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Backends alone and policies side by side; at these prices nobody gives less for more but the mixture of all."""
    (tmp_path / "even.yaml").write_text(config())
    arguments = ["policy", "compare", str(tmp_path / "even.yaml"), "--ledger", str(explored)]
    assert main([*arguments, "--since", "2020-01-01", "--until", "2030-01-01"]) == 0
    out = capsys.readouterr().out
    assert "on the frontier" in out
    assert main([*arguments, "--since", "2020-01-01", "--until", "2030-01-01", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["dominated_by"].keys() == {"a", "b", "c", "even.yaml"}
    assert told["dominated_by"]["a"] is None
    assert told["backends"]["a"]["quality"]["doubly_robust"]["value"] == pytest.approx(0.9, abs=0.06)


def test_what_is_read_is_what_was_decided(explored: Path) -> None:
    """First decisions with full vectors that sum to one, candidates as numbers, and the judge's word."""
    decisions, strange = stored_decisions(explored, 0.0, time.time() + 1e9)
    assert (len(decisions), strange) == (1200, 0)
    assert all(sum(one.probabilities.values()) == pytest.approx(1.0) for one in decisions)
    assert all({c.backend_id for c in one.candidates} == {"a", "b", "c"} for one in decisions)
    assert {one.quality for one in decisions} == {0.0, 1.0}


def test_no_ledger_and_an_empty_time_are_told(
    explored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit codes 2 and 1, in words."""
    (tmp_path / "new.yaml").write_text(config())
    arguments = ["policy", "replay", "--policy", str(tmp_path / "new.yaml"), "--ledger"]
    assert main([*arguments, str(tmp_path / "absent")]) == 2
    assert main([*arguments, str(explored), "--since", "2020-01-01", "--until", "2020-01-02"]) == 1
    assert "no recorded decision" in capsys.readouterr().err
