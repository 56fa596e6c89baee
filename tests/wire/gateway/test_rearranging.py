"""Backends come, change and go while questions are being asked; only whoever has the operator's key may do that."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.patience import until_true
from tests.shell.cli.conftest import Run, Served, folder, run, start  # noqa: F401 (fixtures)
from tests.shell.cli.test_reloading import Crowd

KEY = "operator-key-of-this-test"
SECRET = "sk-a-secret-of-the-new-backend"


class Engine:
    """A slow OpenAI-compatible server in a thread, which says its name and counts whom it heard."""

    def __init__(self, name: str, seconds: float = 0.03) -> None:
        outer = self
        self.name, self.heard, self.keys = name, 0, set[str | None]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                outer.heard += 1
                outer.keys.add(self.headers["authorization"])
                time.sleep(seconds)
                body = json.dumps({"choices": [{"message": {"content": name}, "finish_reason": "stop"}]}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send_error(404)

            def log_message(self, *said: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def engines() -> Iterator[list[Engine]]:
    made = [Engine(name) for name in ("first", "second", "third")]
    yield made
    for engine in made:
        engine.close()


@pytest.fixture
def gateway(folder: Path, engines: list[Engine], monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:  # noqa: F811
    """One backend, an operator's key, nothing else."""
    (folder / "equipoise.yaml").write_text(
        "state_dir: state\nstrategy: round_robin\nbackend_instances:\n  first:  # the only one\n"
        f"    backend_type: local_llm\n    endpoint_url: {engines[0].url}\n    model: m\n"
    )
    monkeypatch.setenv("EQUIPOISE_ADMIN_KEY", KEY)
    process = start("serve", "--port", "0", folder=folder)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    monkeypatch.setenv("EQUIPOISE_ADMIN_URL", served.admin_url)
    yield served
    if process.poll() is None:
        served.stop()


def test_no_question_is_lost_while_backends_come_change_and_go(
    gateway: Served,
    engines: list[Engine],
    run: Run,  # noqa: F811
    folder: Path,  # noqa: F811
) -> None:
    """Added, moved to another address, removed, under a crowd; and saved, with the file's own comments kept."""
    settings = ("backend_type=local_llm", f"endpoint_url={engines[1].url}", "model=m", f"api_key={SECRET}")
    with Crowd(gateway.url) as crowd:
        assert run("backends", "add", "second", *settings, "--yes").code == 0
        until_true(lambda: engines[1].heard > 3)
        assert run("backends", "update", "second", f"endpoint_url={engines[2].url}", "weight=2", "--yes").code == 0
        until_true(lambda: engines[2].heard > 3)
        assert run("backends", "rm", "first", "--yes").code == 0
        heard, asked = engines[0].heard, crowd.answered
        until_true(lambda: crowd.answered > asked + 12)
        assert engines[0].heard <= heard + 4, "only what was under way"
    assert crowd.failed == []
    assert {key for engine in engines[1:] for key in engine.keys} == {f"Bearer {SECRET}"}
    assert [row["id"] for row in json.loads(run("backends", "ls", "--json").out)] == ["second"]
    assert run("config", "save").code == 0
    saved = (folder / "equipoise.yaml").read_text()
    assert engines[2].url in saved
    assert "first" not in saved


def test_a_dry_run_and_a_no_change_nothing(gateway: Served, engines: list[Engine], run: Run) -> None:  # noqa: F811
    """What would be wrong is said all the same."""
    good = ("backend_type=local_llm", f"endpoint_url={engines[1].url}", "model=m")
    assert run("backends", "add", "second", *good, "--dry-run").out.startswith("not done")
    refused = run("backends", "add", "second", *good)
    assert (refused.code, "--yes" in refused.err) == (4, True)
    wrong = run("backends", "add", "second", "backend_type=local_llm", "endpoint_url=nowhere", "--yes")
    assert (wrong.code, "endpoint_url" in wrong.err) == (1, True)
    last = run("backends", "rm", "first", "--yes")
    assert last.code == 1
    assert [row["id"] for row in json.loads(run("backends", "ls", "--json").out)] == ["first"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "first", "backend_type=perplexity"), "already"),
        (("update", "nobody", "weight=2"), "no backend"),
        (("rm", "nobody"), "no backend"),
        (("add", "x", "backend_type=function", "function=os:system"), "configuration file only"),
        (("add", "x", "backend_type=lightrag", "api_key=file:/etc/passwd"), "configuration file only"),
        (("update", "first", "wieght=2"), "weight"),
    ],
)
def test_what_cannot_be_is_refused_in_words(gateway: Served, run: Run, arguments: tuple[str, ...], said: str) -> None:  # noqa: F811
    """No second one of a name, no stranger, no code and no file from outside."""
    ran = run("backends", *arguments, "--yes")
    assert (ran.code, said in ran.err) == (1, True), ran.err


def test_keys_of_added_backends_are_shown_nowhere(gateway: Served, engines: list[Engine], run: Run) -> None:  # noqa: F811
    """Neither in the dump nor in what is said at the stop."""
    settings = ("backend_type=local_llm", f"endpoint_url={engines[1].url}", "model=m", f"api_key={SECRET}")
    assert run("backends", "add", "second", *settings, "--yes").code == 0
    request = urllib.request.Request(gateway.admin_url + "/admin/config_dump", headers={"x-api-key": KEY})
    with urllib.request.urlopen(request) as response:
        dump = response.read().decode()
    assert "second" in dump
    assert SECRET not in dump
    _, out, err = gateway.stop()
    assert "second" in err
    assert SECRET not in out + err


def test_without_the_operators_key_nobody_is_believed(
    gateway: Served,
    run: Run,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither with none nor with another; probes need none."""
    for key in ("", "another-key-altogether"):
        monkeypatch.setenv("EQUIPOISE_ADMIN_KEY", key)
        ran = run("backends", "ls")
        assert (ran.code, "EQUIPOISE_ADMIN_KEY" in ran.err) == (1, True)
    with urllib.request.urlopen(gateway.admin_url + "/readyz") as response:
        assert response.status == 200
