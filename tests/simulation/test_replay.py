"""The replay of real arrivals says what it measured, and says so plainly when it could not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.strategies import replay, specified
from bench.strategies.crowd import arrivals

HEAD = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def written(folder: Path, count: int) -> Path:
    """A made-up trace in the form of the published one: some load, lengths of answer as there."""
    rows = [
        f"2023-11-16 18:{15 + int(a.at) // 60:02}:{a.at % 60:010.7f},400,{a.tokens}" for a in arrivals(count, 5.0, 3)
    ]
    (folder / "traces").mkdir()
    (folder / "traces" / replay.TRACE).write_text(HEAD + "\n".join(rows), encoding="utf-8")
    return folder


def test_without_the_data_nothing_is_claimed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2 and the words 'not measured', with and without a directory."""
    assert replay.main(["--data", str(tmp_path)]) == 2
    assert replay.main([]) == 2
    assert capsys.readouterr().out.count("not measured: there is no AzureLLMInferenceTrace_conv.csv") == 2


def test_a_trace_is_read_to_the_microsecond(tmp_path: Path) -> None:
    """Times count from the first arrival; whoever was answered with nothing counts as one token."""
    (tmp_path / replay.TRACE).write_text(
        HEAD + "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:50.9951690,396,0\n", encoding="utf-8"
    )
    read = replay.read_trace(tmp_path)
    assert read is not None
    assert [(a.at, a.tokens) for a in read] == [(0.0, 44), (pytest.approx(4.314579), 1)]


def test_every_strategy_and_every_gate_is_in_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten rules in four scenarios, eleven gates, and the exit code is their verdict."""
    code = replay.main(["--data", str(written(tmp_path, 200)), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert len({(row["strategy"], row["scenario"]) for row in told["rows"]}) == 40
    assert len(told["gates"]) == 11
    assert code == (0 if all(gate["value"] <= gate["bound"] for gate in told["gates"]) else 1)


def test_the_table_names_every_rule_and_the_verdict_of_each_gate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For people: one table a scenario, then the gates."""
    replay.main(["--data", str(written(tmp_path, 100))])
    out = capsys.readouterr().out
    assert out.count("weighted_round_robin ") == 4
    assert out.count("(at most ") == 11
    assert ("MISSED" in out) or ("met " in out)


def test_a_gate_is_missed_above_its_bound_only() -> None:
    """At most means at most."""
    assert replay.Gate("", 0.9, 0.9).met
    assert not replay.Gate("", 0.9001, 0.9).met


def test_the_specifications_rules_stand_beside_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four pairs, well and with a slow server; without the data nothing is claimed."""
    assert specified.main(["--data", str(tmp_path)]) == 2
    assert specified.main(["--data", str(written(tmp_path, 100))]) == 0
    out = capsys.readouterr().out
    assert out.count(", as specified") == out.count(", ours") == 8
    assert out.startswith("not measured")
