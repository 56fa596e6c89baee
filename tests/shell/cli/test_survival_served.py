"""kill -9 of a gateway that serves: what was answered a second before is in its ledger, once."""

from __future__ import annotations

import http.client
import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from tests.shell.cli.conftest import Run, Served, start


def test_a_killed_gateway_has_recorded_what_it_answered(oracle: Path, run: Run) -> None:
    """Asked without a pause, killed by its pid in the middle; the file opens whole, and the next gateway goes on with it."""
    process = start("serve", "--port", "0", folder=oracle.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Why?"}]})
    answered: dict[str, float] = {}
    end = time.monotonic() + 2.2
    while time.monotonic() < end:
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        answered[response.headers["x-request-id"]] = time.monotonic()
    killed = time.monotonic()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    connection.close()
    due = {name for name, moment in answered.items() if moment < killed - 1.0}
    with closing(sqlite3.connect(oracle.parent / "state" / "ledger.sqlite3")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        rows = [row[0] for row in ledger.execute("SELECT request_id FROM attempts")]
    assert len(due) > 50
    assert due <= set(rows) <= set(answered)
    assert len(rows) == len(set(rows))
    again = run("ledger", "query", "--by", "backend", "--json")
    assert json.loads(again.out)[0]["requests"] == len(rows)
