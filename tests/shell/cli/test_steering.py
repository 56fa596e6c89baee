"""check --fix and --explain, config set, reload and save, backends drain, routes explain, -o, -q and -v."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from equipoise.cli import main
from equipoise.config.codes import CODES
from tests.shell.cli.conftest import ROOT, Run, Served

EARLIER = """\
# ours since spring
backend_instances:
  papers:  # the first
    backend_type: lightrag
    endpoint_url: "http://127.0.0.1:9621"  # in the cellar
    wieght: 2.0  # twice the others
    circuit_breaker:
      failure_threshold: 3  # nervous
      recovery_timeout: 30
"""
WRONG = "backend_instances:\n  a: {backend_type: lightrag, endpoint_url: nowhere, weight: heavy, colour: red}\n"


def test_fix_renames_and_keeps_comments(folder: Path, run: Run) -> None:
    """Misspelt and nested names become the known ones; a dry run only shows it; twice changes nothing more."""
    file = folder / "equipoise.yaml"
    file.write_text(EARLIER)
    shown = run("check", "--fix", "--dry-run")
    assert "+    weight: 2.0" in shown.out
    assert file.read_text() == EARLIER
    ran = run("check", "--fix")
    assert ran.code == 0
    assert "fixed: backend_instances.papers.wieght -> backend_instances.papers.weight" in ran.err
    text = file.read_text()
    for comment in ("# ours since spring", "# the first", "# in the cellar", "# twice the others", "# nervous"):
        assert comment in text
    found = YAML(typ="safe").load(text)["backend_instances"]["papers"]
    assert found["weight"] == 2.0
    assert (found["failure_threshold"], found["recovery_timeout_seconds"]) == (3, 30)
    assert "circuit_breaker" not in found
    run("check", "--fix")
    assert file.read_text() == text


def test_fix_leaves_what_it_cannot_know(folder: Path, run: Run) -> None:
    """The rest is told as ever."""
    (folder / "equipoise.yaml").write_text(WRONG)
    ran = run("check", "--fix")
    assert ran.code == 1
    assert (folder / "equipoise.yaml").read_text() == WRONG
    assert "colour" in ran.err


def test_json_files_are_fixed_too(folder: Path, run: Run) -> None:
    """In their own form."""
    backend = {"backend_type": "lightrag", "endpoint_url": "http://127.0.0.1:9621", "health_check": {"interval": 5}}
    (folder / "equipoise.json").write_text(json.dumps({"backend_instances": {"a": backend}}))
    assert run("check", "--fix").code == 0
    found = json.loads((folder / "equipoise.json").read_text())["backend_instances"]["a"]
    assert found["health_check_interval_seconds"] == 5


def test_every_problem_has_a_code_that_is_explained(folder: Path, run: Run) -> None:
    """In the document and by --explain; there is no code without words."""
    (folder / "equipoise.yaml").write_text(WRONG)
    codes = {problem["code"] for problem in json.loads(run("check", "--json").out)["problems"]}
    assert codes == {"CFG002", "CFG004", "CFG008"}
    for code in CODES:
        assert run("check", "--explain", code).out.startswith(f"{code}: ")
    assert run("check", "--explain", "CFG999").code == 2
    assert run("check", "-c", "absent.yaml", "--json").code == 2


def test_check_warns_of_what_caps_traffic_on_stderr_and_exits_0(oracle: Path, run: Run) -> None:
    """The effective values go to stdout."""
    oracle.write_text(oracle.read_text().replace("corpus: mine", "corpus: mine, max_requests_per_minute: 100"))
    ran = run("check")
    assert ran.code == 0
    assert "at most 100 requests a minute" in ran.err
    assert "at most" not in ran.out
    assert "at most" not in run("-q", "check").err
    assert "configuration: equipoise.yaml" in run("-v", "config", "show").err


def test_documents_come_as_json_or_yaml(oracle: Path, run: Run) -> None:
    """-o is one word for all of it."""
    as_json = json.loads(run("check", "-o", "json").out)
    assert YAML(typ="safe").load(run("check", "-o", "yaml").out) == as_json == json.loads(run("check", "--json").out)


def test_a_running_gateway_is_steered_by_command(served: Served, oracle: Path, run: Run) -> None:
    """Changed, shown with its origin, drained, saved, read again."""
    at = ("--admin-url", served.admin_url)
    assert run("config", "set", "backend_instances.oracle.weight=3", "strategy=weighted", *at).code == 0
    rows = {row["path"]: row for row in json.loads(run("config", "show", "--origin", "-o", "json", *at).out)}
    assert rows["strategy"] == {"path": "strategy", "value": "weighted", "origin": "changed at run time"}
    assert rows["state_dir"]["origin"].endswith("equipoise.yaml:3:1")
    would = run("backends", "drain", "oracle", "--dry-run", *at).out
    assert would == "would drain oracle, 0 in flight; left: nobody\n"
    assert run("backends", "drain", "nobody", "--dry-run", *at).code == 1
    assert run("backends", "drain", "oracle", *at).out == "oracle: draining\n"
    assert run("routes", "explain", "six times seven?", *at).code == 1
    assert run("backends", "resume", "oracle", *at).code == 0
    told = json.loads(run("routes", "explain", "six times seven?", "-o", "json", *at).out)
    assert (told["backend"], told["strategy"]) == ("oracle", "weighted")
    assert run("config", "set", "strategy", *at).code == 2
    assert run("config", "set", "listen.port=1", *at).code == 1
    assert run("config", "set", "strategy=weighed", *at).code == 1
    before = oracle.read_text()
    assert "strategy" in run("config", "save", "--dry-run", *at).out
    assert run("config", "reload", "--dry-run", *at).out.startswith("not done")
    assert oracle.read_text() == before
    assert "strategy" in run("config", "save", *at).out
    assert "strategy: weighted" in oracle.read_text()
    assert run("config", "reload", *at).out.startswith("unchanged")
    assert "fit" not in run("backends", "ls", "-o", "table", *at).err
    assert run("backends", "ls", "--names", *at).out == "oracle\n"
    assert served.stop()[0] == 0


def test_a_route_is_explained_without_a_gateway(oracle: Path, run: Run) -> None:
    """By the file alone."""
    told = json.loads(run("routes", "explain", "six times seven?", "-c", str(oracle), "--json").out)
    assert told["backend"] == "oracle"
    assert run("routes", "explain", "x", "-c", str(oracle), "--strategy", "luck").code == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions_ask_the_gateway_for_names(run: Run, shell: str) -> None:
    """Where a backend is wanted."""
    assert "equipoise backends ls --names" in run("completions", shell).out


def test_bash_completes_backends_of_the_running_gateway(
    served: Served, run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a real bash."""
    import subprocess
    import sys

    (folder / "completion").write_text(run("completions", "bash").out)
    script = (
        f'equipoise() {{ "{sys.executable}" -m equipoise "$@"; }}\n. ./completion\n'
        "COMP_WORDS=(equipoise backends drain o) COMP_CWORD=3\n"
        '_equipoise_with_names; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    monkeypatch.setenv("EQUIPOISE_ADMIN_URL", served.admin_url)
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=30
    )
    assert "oracle" in done.stdout.split(), done.stderr


@pytest.mark.parametrize(
    "line", [["config", "set", "a.api_key={hunter2: ["], ["canary", "start", "--set", "a=[hunter2"]]
)
def test_a_value_that_is_no_yaml_is_a_mistake_of_usage_and_not_repeated(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Said before anybody is asked, with the place in it."""
    assert main(line) == 2
    said = capsys.readouterr()
    assert "is not valid YAML: expected" in said.err
    assert "column" in said.err
    assert "hunter2" not in said.err + said.out
