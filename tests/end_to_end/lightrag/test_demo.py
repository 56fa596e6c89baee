"""`equipoise demo --real` as a user runs it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.sandbox.real.environment import Environment

SECONDS = 180


def demo(environment: Environment, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "equipoise",
        "demo",
        "--real",
        "--state-dir",
        str(environment.directory),
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_demo_answers_with_sources_and_survives_the_death_of_lightrag(environment: Environment) -> None:
    """Real model, real server: every question is answered, with the right documents, and nothing is left behind."""
    done = demo(environment, "--questions", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    *usual, last = told["answers"]
    assert (told["questions"], told["failed"]) == (4, 0)
    assert [answer["sources"] for answer in usual] == [
        ["acylcarnitines.txt"],
        ["branched-chain-amino-acids.txt"],
        ["trimethylamine-oxide.txt"],
    ]
    assert [answer["streamed"] for answer in usual] == [False, False, True]
    assert all(answer["text"] for answer in told["answers"])
    assert (last["backend"], last["fallback_from"], last["sources"]) == ("small-model", "lightrag", [])
    assert list(environment.directory.glob("run-*")) == []


def test_the_users_own_texts_are_asked_about(environment: Environment, tmp_path: Path) -> None:
    """`--corpus` takes a directory of texts; without questions of its own, they are asked about by their terms."""
    text = "Melatonin synthesis. Melatonin synthesis in the pineal gland begins with tryptophan and follows darkness."
    (tmp_path / "melatonin.md").write_text(text)
    done = demo(environment, "--questions", "1", "--json", "--corpus", str(tmp_path))
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)["answers"][0]
    assert answer["question"].startswith("What is said about ")
    assert answer["sources"] == ["melatonin.md"]


@pytest.mark.parametrize("arguments", [("--corpus", "/nonexistent"), ("--corpus", "/dev")])
def test_a_directory_without_texts_is_one_clear_line(environment: Environment, arguments: tuple[str, ...]) -> None:
    """No traceback, nothing started."""
    done = demo(environment, *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "texts" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_kept_demo_ends_all_it_started_when_it_is_told_to_stop(environment: Environment) -> None:
    """`--keep` serves until SIGTERM; then no server is left on any port that was announced."""
    command = [sys.executable, "-m", "equipoise", "demo", "--real", "--state-dir", str(environment.directory)]
    with subprocess.Popen([*command, "--keep", "--questions", "1"], stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        told = ""
        for line in running.stderr:
            told += line
            if "curl" in line:
                break
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", told)}
        assert len(ports) == 5, told
        assert all(listens(port) for port in ports)
        running.terminate()
        assert running.wait(60) == 130
    assert not any(listens(port) for port in ports)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
