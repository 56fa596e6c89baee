"""init, check, config show, config schema, doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from equipoise.cli.examination import skew
from tests.shell.cli.conftest import Run

KEY = "pplx-0123456789abcdef"
WRONG = "backend_instances:\n  a: {backend_type: lightrag, endpoint_url: nowhere, wieght: 1}\n"


def test_init_writes_a_configuration_that_check_finds_good(folder: Path, run: Run) -> None:
    """Two commands from nothing to a valid file, without any key."""
    assert run("init", "--schema").code == 0
    ran = run("check")
    assert ran.code == 0
    assert "equipoise.yaml is good" in ran.out
    assert "perplexity: has no key: set PERPLEXITY_API_KEY" in ran.err
    assert (folder / "equipoise.yaml").read_text().startswith("# yaml-language-server: $schema=./equipoise.schema.json")
    assert json.loads((folder / "equipoise.schema.json").read_text())["properties"]


def test_init_never_destroys_a_file(folder: Path, run: Run) -> None:
    """Not without --force, and a dry run writes nothing."""
    (folder / "equipoise.yaml").write_text("mine")
    assert run("init").code == 4
    assert "backend_instances:" in run("init", "--dry-run").out
    assert (folder / "equipoise.yaml").read_text() == "mine"
    assert run("init", "--force").code == 0


def test_init_says_when_it_cannot_write(run: Run) -> None:
    """Exit code 2."""
    assert run("init", "absent/equipoise.yaml").code == 2


def test_check_tells_every_problem_with_its_place(folder: Path, run: Run) -> None:
    """On stderr; and in one document with --json."""
    (folder / "equipoise.yaml").write_text(WRONG)
    ran = run("check")
    assert (ran.code, ran.out) == (1, "")
    assert "equipoise.yaml:2:31: backend_instances.a.endpoint_url: must be a URL" in ran.err
    assert "2 problems found" in ran.err
    problems = json.loads(run("check", "--json").out)["problems"]
    assert [problem["path"] for problem in problems] == [
        "backend_instances.a.endpoint_url",
        "backend_instances.a.wieght",
    ]
    assert problems[1]["hint"] == "did you mean weight?"


def test_check_shows_what_will_be_in_effect(oracle: Path, run: Run) -> None:
    """As a table, and whole with --json."""
    assert "answers:answer" in run("check").out
    effective = json.loads(run("check", "--json").out)["effective"]
    assert effective["backend_instances"]["oracle"]["timeout_seconds"] == 120


def test_config_show_says_where_each_value_came_from(oracle: Path, run: Run, monkeypatch: object) -> None:
    """File with line and column, variable, or default."""
    rows = {row["path"]: row for row in json.loads(run("config", "show", "--origin", "--json").out)}
    assert rows["state_dir"]["origin"] == "equipoise.yaml:3:1"
    assert rows["strategy"] == {"path": "strategy", "value": "adaptive_learning", "origin": "default"}
    assert "equipoise.yaml:3:1" in run("config", "show", "--origin").out


def test_config_show_never_shows_a_key(folder: Path, run: Run) -> None:
    """In none of its forms."""
    (folder / "equipoise.yaml").write_text(f"backend_instances: {{p: {{backend_type: perplexity, api_key: {KEY}}}}}\n")
    for form in ([], ["--origin"], ["--json"], ["--changed"]):
        ran = run("config", "show", *form)
        assert "pplx-…cdef" in ran.out
        assert KEY not in ran.out + ran.err
    assert KEY not in run("check").out + run("check", "--json").out


def test_config_show_is_yaml_that_can_be_read_back(oracle: Path, run: Run) -> None:
    """And says everything."""
    shown = YAML(typ="safe").load(run("config", "show").out)
    assert shown["backend_instances"]["oracle"]["function"] == "answers:answer"
    assert shown["listen"]["port"] == 4000


def test_config_schema_is_a_json_schema(run: Run) -> None:
    """For editors."""
    assert json.loads(run("config", "schema").out)["properties"]["backend_instances"]


def test_the_env_example_names_every_variable_and_loads() -> None:
    """One file to copy; nothing in it is set."""
    from equipoise.config.environment import EVERY_NAME

    text = (Path(__file__).parents[3] / ".env.example").read_text()
    assert [name for name in EVERY_NAME if f"# {name}=" not in text] == []
    assert [line for line in text.splitlines() if line and not line.startswith("#")] == []


def test_doctor_finds_nothing_wrong_with_what_is_well(oracle: Path, run: Run) -> None:
    """Versions, loop, configuration, store, backends; as one document with --json."""
    found = json.loads(run("doctor", "--json").out)
    assert found["ok"]
    states = {check["check"]: check["state"] for check in found["checks"]}
    assert states["oracle: probe"] == states["state directory"] == states["ledger"] == "ok"


def test_doctor_finds_a_backend_that_does_not_answer(folder: Path, run: Run) -> None:
    """And goes on to the next one."""
    text = "backend_instances:\n  a: {backend_type: lightrag, endpoint_url: 'http://127.0.0.1:1'}\nstate_dir: s\n"
    (folder / "equipoise.yaml").write_text(text)
    ran = run("doctor")
    assert ran.code == 1
    assert "✖ a: probe" in ran.out


def test_doctor_finds_a_ruined_ledger_and_a_state_directory_that_is_none(oracle: Path, run: Run) -> None:
    """Without touching either."""
    ruin = "this is no database\n" * 100
    (oracle.parent / "file").write_text(ruin)
    oracle.write_text(oracle.read_text().replace("state_dir: state", "state_dir: file/inside\nledger: {path: file}"))
    ran = run("doctor", "--json")
    states = {check["check"]: check["state"] for check in json.loads(ran.out)["checks"]}
    assert (ran.code, states["ledger"], states["state directory"]) == (1, "failed", "failed")
    assert (oracle.parent / "file").read_text() == ruin


def test_doctor_live_asks_every_backend_once_within_its_cap(oracle: Path, run: Run) -> None:
    """A function costs nothing and has the shape of one."""
    found = json.loads(run("doctor", "--live", "--yes", "--json").out)
    (live,) = [check for check in found["checks"] if check["check"] == "oracle: live"]
    assert live["state"] == "ok"
    assert "in the recorded shape" in live["text"]
    nothing = json.loads(run("doctor", "--live", "--yes", "--max-cost-usd", "0", "--json").out)
    assert nothing["checks"][-1]["text"].startswith("not asked")


def test_doctor_does_not_hold_its_cap_against_a_backend(oracle: Path, run: Run) -> None:
    """Who is too dear to be asked is not asked, and that is no fault of his."""
    oracle.write_text(oracle.read_text().replace("function: ", "cost_per_1k_tokens: 1000, function: "))
    ran = run("doctor", "--live", "--yes", "--json")
    (live,) = [check for check in json.loads(ran.out)["checks"] if check["check"] == "oracle: live"]
    assert (ran.code, live["state"]) == (0, "warning")
    assert live["text"].startswith("not asked: would cost $")
    assert live["text"].count("would cost") == 1


@pytest.mark.parametrize(
    ("said", "state", "text"),
    [
        ("Mon, 01 Jan 2024 00:00:00 GMT", "ok", "within 5 s"),
        ("Mon, 01 Jan 2024 00:01:00 GMT", "warning", "60 s ahead of"),
        ("Sun, 31 Dec 2023 23:00:00 GMT", "warning", "3600 s behind"),
        ("soon", "ok", "not compared"),
        ("", "ok", "not compared"),
    ],
)
def test_doctor_compares_clocks(said: str, state: str, text: str) -> None:
    """By the Date that a server sends."""
    found = skew("a: clock", said, 1_704_067_200.0)
    assert found.state == state
    assert found.text.startswith(text)


def test_doctor_tells_a_wrong_configuration_whole(folder: Path, run: Run) -> None:
    """As `check` would."""
    (folder / "equipoise.yaml").write_text(WRONG)
    ran = run("doctor")
    assert ran.code == 1
    assert "did you mean weight?" in ran.out
