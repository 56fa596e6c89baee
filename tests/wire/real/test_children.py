"""Programs started as children, and the rules server as one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from equipoise.sandbox.real.processes import OURSELVES, Child, DidNotStart, call, free_port


def program(tmp_path: Path, *words: str, **options: dict[str, str]) -> Child:
    return Child("child", [sys.executable, *words], port=free_port(), log=tmp_path / "logs" / "child.log", **options)


def test_a_child_that_ends_at_once_says_why(tmp_path: Path) -> None:
    """The end of its log is in the message; nobody waits two minutes for it."""
    child = program(tmp_path, "-c", "raise SystemExit('no such luck')")
    child.start()
    with pytest.raises(DidNotStart, match="no such luck"):
        child.wait_ready()


def test_a_child_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """After the patience it was given; stopping it then ends the process."""
    child = program(tmp_path, "-c", "import time; time.sleep(60)")
    child.start()
    with pytest.raises(DidNotStart, match="not ready after 0 s"):
        child.wait_ready(0.2)
    child.stop()
    assert child.process is not None
    assert child.process.returncode is not None


def test_a_child_knows_none_of_our_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only named variables are handed down."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    child = program(tmp_path, "-c", "import os; print(sorted(os.environ))", variables={"OURS": "1"})
    child.start()
    assert child.process is not None
    child.process.wait(20)
    assert "OURS" in child.log_end()
    assert "OPENAI_API_KEY" not in child.log_end()


def test_stopping_what_never_started_is_nothing(tmp_path: Path) -> None:
    """So that a half-started stack can be stopped whole."""
    child = program(tmp_path, "-c", "pass")
    child.stop()
    child.kill()
    assert child.process is None


@pytest.fixture
def rules(tmp_path: Path) -> Iterator[Child]:
    """The rules server, without a model behind it."""
    child = program(tmp_path, "-m", "equipoise.sandbox.real.rules_server", variables=OURSELVES)
    child.command.append(str(child.port))
    child.start()
    child.wait_ready(30)
    yield child
    child.stop()


def test_an_openai_client_can_talk_to_the_rules(rules: Child) -> None:
    """Whole and streamed, the same words; every conversation is counted."""
    with OpenAI(base_url=f"http://127.0.0.1:{rules.port}/v1", api_key="none", max_retries=0) as client:
        question = "User Query: What makes TMAO?\n\n---Output---\n"
        whole = client.chat.completions.create(model="rules", messages=[{"role": "user", "content": question}])
        chunks = client.chat.completions.create(
            model="rules", messages=[{"role": "user", "content": question}], stream=True
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(pieces).strip() == whole.choices[0].message.content
    status, seen = call(rules.port, "GET", "/seen")
    assert (status, seen["asked"]) == (200, 2)
    assert call(rules.port, "GET", "/elsewhere")[0] == 404


def test_a_dead_model_behind_the_rules_is_a_bad_gateway(tmp_path: Path) -> None:
    """Questions need the model; what rules can do goes on without it."""
    child = program(tmp_path, "-m", "equipoise.sandbox.real.rules_server", variables=OURSELVES)
    child.command += [str(child.port), str(free_port())]
    child.start()
    child.wait_ready(30)
    asked = {"messages": [{"role": "user", "content": "What is TMAO?"}]}
    assert call(child.port, "POST", "/v1/chat/completions", asked)[0] == 502
    asked = {"messages": [{"role": "user", "content": "Based on the last extraction task, go on."}]}
    assert call(child.port, "POST", "/v1/chat/completions", asked)[0] == 200
    child.stop()
