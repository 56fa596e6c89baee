"""A gateway is killed while it answers: the question is asked again, the tenant pays once, the lost attempt is booked."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import threading
import urllib.request
from pathlib import Path
from typing import Any

from tests.patience import until_true
from tests.shell.cli.conftest import Served, folder, start  # noqa: F401 (a fixture)
from tests.wire.gateway.test_rearranging import Engine


def serve(place: Path) -> Served:
    process = start("serve", "--port", "0", folder=place)
    assert process.stdout is not None
    return Served(process, [process.stdout.readline().rstrip() for _ in range(5)])


def ask(url: str) -> tuple[int, Any]:
    """The same question, with its key."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "six times seven?"}]}).encode()
    headers = {"content-type": "application/json", "idempotency-key": "visit-12", "x-api-key": "key-of-the-clinic"}
    with urllib.request.urlopen(urllib.request.Request(url + "/v1/chat/completions", body, headers)) as response:
        return response.status, dict(response.headers)


def test_after_a_kill_the_tenant_pays_once_and_the_lost_attempt_is_a_possible_cost(folder: Path) -> None:  # noqa: F811
    """Killed with -9 in the midst of an answer; started anew in the same place; asked again with the same key."""
    engine = Engine("only", seconds=1.5)
    (folder / "equipoise.yaml").write_text(
        "state_dir: state\nkeys: {clinic: {key: key-of-the-clinic, tenant: clinic}}\nbackend_instances:\n  only:\n"
        f"    {{backend_type: local_llm, endpoint_url: '{engine.url}', model: m, price: {{input: 100, output: 100}}}}\n"
    )
    first = serve(folder)

    def lose() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            ask(first.url)

    asking = threading.Thread(target=lose)
    asking.start()
    until_true(lambda: engine.heard == 1)
    first.process.kill()
    first.process.communicate()
    asking.join()
    second = serve(folder)
    status, headers = ask(second.url)
    again = ask(second.url)[1]
    second.stop()
    engine.close()
    assert (status, engine.heard) == (200, 2)
    assert again["idempotent-replayed"] == "true"
    with contextlib.closing(sqlite3.connect(folder / "state" / "ledger.sqlite3")) as ledger:
        rows = ledger.execute("select tenant, error_code, cost, tags from attempts order by wall").fetchall()
    (lost, answered) = rows
    assert (lost[0], lost[1], lost[3]) == ("(lost)", "lost", '["tenant:clinic"]')
    assert lost[2] > 0
    assert (answered[0], answered[1]) == ("clinic", None)
    assert f"{answered[2] / 1e9:.9f}" == headers["x-equipoise-cost-usd"]
    assert not list((folder / "state").glob("under-way-*"))
