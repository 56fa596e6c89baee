"""serve, ask and backends against a gateway in a process of its own."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from equipoise.cli.serve import is_loopback
from equipoise.config.load import load
from tests.shell.cli.conftest import ROOT, Run, Served, start


def fetch(url: str, key: str | None = None) -> tuple[int, str]:
    """Status and body."""
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_five_lines_say_where_everything_is(served: Served) -> None:
    """The first holds the real address, the others admin, metrics, source and a ready curl."""
    assert served.lines[0].startswith("equipoise 0.1.0 listens on http://127.0.0.1:")
    assert fetch(served.url + "/readyz")[0] == 200
    assert fetch(served.lines[1].split()[-1])[0] == 200
    assert "lb_" in fetch(served.lines[2].split()[-1])[1]
    assert "equipoise.yaml: oracle" in served.lines[3]
    assert served.lines[4].split()[1:3] == ["curl", f"{served.url}/v1/chat/completions"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(served: Served, number: int) -> None:
    """Exit code 0, no traceback, nothing more on stdout."""
    code, out, err = served.stop(number)
    assert (code, out) == (0, "")
    assert err.strip().endswith("stopped")


def test_a_question_to_the_gateway_is_answered_and_recorded(served: Served, run: Run) -> None:
    """Answer, cost and reason; the access line goes to stderr; the ledger holds the attempt."""
    ran = run("ask", "what is six times seven?", "--url", served.url)
    assert ran.code == 0
    assert ran.out.startswith("forty-two, as asked: what is six times seven?")
    assert "oracle" in ran.out
    assert "$0.000000000" in ran.out
    told = json.loads(run("ask", "again?", "--url", served.url, "--json").out)
    assert (told["backend"], told["text"]) == ("oracle", "forty-two, as asked: again?")
    assert fetch(f"{served.url}/v1/requests/{told['request_id']}")[0] == 200
    summary = json.loads(fetch(served.admin_url + "/admin/ledger/summary")[1])
    assert summary["records"] == 2
    assert summary["cost_usd"] == "0.000000000"
    _, _, err = served.stop()
    assert err.count("status=200") == 2
    assert "forty-two" not in err


def test_a_question_that_nobody_can_answer_is_exit_code_one(served: Served, run: Run) -> None:
    """With the gateway's own words."""
    ran = run("ask", "please fail", "--url", served.url)
    assert (ran.code, ran.out) == (1, "")
    assert "error:" in ran.err


def test_backends_are_listed_from_the_admin_listener(served: Served, run: Run) -> None:
    """As a table and as a document."""
    assert "oracle  function" in " ".join(run("backends", "ls", "--admin-url", served.admin_url).out.split("\n")[1:])
    rows = json.loads(run("backends", "ls", "--admin-url", served.admin_url, "--json").out)
    assert [row["id"] for row in rows] == ["oracle"]


def test_a_question_in_this_process_needs_no_gateway(oracle: Path, run: Run) -> None:
    """Answer, and the same things said about it."""
    ran = run("ask", "what is six times seven?")
    assert ran.code == 0
    assert ran.out.startswith("forty-two, as asked: what is six times seven?")
    assert json.loads(run("ask", "again?", "--json").out)["backend"] == "oracle"


def test_a_failure_in_this_process_says_why(oracle: Path, run: Run) -> None:
    """Exit code 1 and a reason."""
    ran = run("ask", "please fail")
    assert ran.code == 1
    assert "error:" in ran.err


def test_an_unknown_model_is_answered_with_a_warning(oracle: Path, run: Run) -> None:
    """On stderr."""
    ran = run("ask", "x", "--model", "gpt-99")
    assert ran.code == 0
    assert "warning: unknown model" in ran.err


def test_keys_are_wanted_where_they_are_configured(oracle: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """EQUIPOISE_API_KEY is the gateway's key and the client's."""
    monkeypatch.setenv("EQUIPOISE_API_KEY", "a-key-for-this-test")
    process = start("serve", "--port", "0", "--host", "0.0.0.0", folder=oracle.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    try:
        assert served.url.startswith("http://127.0.0.1:")
        assert "$EQUIPOISE_API_KEY" in served.lines[4]
        assert fetch(served.url + "/v1/models")[0] == 401
        assert fetch(served.url + "/v1/models", "a-key-for-this-test")[0] == 200
        assert run("ask", "x", "--url", served.url).code == 0
        monkeypatch.setenv("EQUIPOISE_API_KEY", "another")
        ran = run("ask", "x", "--url", served.url)
        assert ran.code == 1
        assert "set EQUIPOISE_API_KEY" in ran.err
    finally:
        _, out, err = served.stop()
    assert "a-key-for-this-test" not in out + err + "".join(served.lines)


def test_a_port_that_is_taken_is_told_in_a_sentence(served: Served, run: Run) -> None:
    """Exit code 2 and which option to use."""
    ran = run("serve", "--port", served.url.rsplit(":", 1)[1])
    assert ran.code == 2
    assert "cannot listen on 127.0.0.1:" in ran.err
    assert "--port" in ran.err


def test_a_function_that_is_not_there_is_told_in_a_sentence(oracle: Path, run: Run) -> None:
    """Not as a traceback."""
    oracle.write_text(oracle.read_text().replace("answers:answer", "answers:nobody"))
    ran = run("serve", "--port", "0")
    assert ran.code == 2
    assert "cannot be used" in ran.err
    assert "nobody" in ran.err


def test_loopback_is_recognised() -> None:
    """Names other than localhost may lead anywhere."""
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org", "")))


def test_a_server_of_another_make_serves_the_same(oracle: Path, run: Run) -> None:
    """--server uvicorn"""
    process = start("serve", "--port", "0", "--server", "uvicorn", folder=oracle.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    assert run("ask", "x", "--url", served.url).code == 0
    assert served.stop()[0] == 0


def test_serving_imports_nothing_it_does_not_need(oracle: Path) -> None:
    """No numpy where nothing learns, no rich, no web framework in the process that serves."""
    code = (
        "import sys; from equipoise.cli import main; code = main(['serve', '--port', '0']); "
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'numpy', 'rich', 'uvicorn', 'aiohttp', 'httpx'})); sys.exit(code)"
    )
    import os
    import subprocess
    import sys

    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=oracle.parent,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PRODUCTION_LB_STRATEGY": "health_aware"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out.strip()) == (0, "[]"), err


def test_a_relative_state_directory_is_kept(oracle: Path) -> None:
    """As written."""
    assert load(oracle, environ={}).config.ledger_path == Path("state/ledger.sqlite3")
