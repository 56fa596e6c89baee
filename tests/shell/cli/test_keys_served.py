"""Keys made on the command line, at a gateway that is running."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.patience import until_true, within_one_day
from tests.shell.cli.conftest import Run, Served, start

QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "What is the answer?"}]}


def call(served: Served, path: str, key: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
    connection.request(method, path, data, {"authorization": f"Bearer {key}", "content-type": "application/json"})
    response = connection.getresponse()
    found = response.status, json.loads(response.read()) | {"request_id": response.getheader("x-request-id")}
    connection.close()
    return found


def ask(served: Served, key: str, model: str = "auto", **more: Any) -> tuple[int, dict[str, Any]]:
    return call(served, "/v1/chat/completions", key, QUESTION | {"model": model, **more})


@pytest.fixture
def keyed(oracle: Path, run: Run) -> Iterator[tuple[Served, dict[str, str]]]:
    """A gateway on all addresses, which it may be because there are keys in its store."""
    text = oracle.read_text() + "routes:\n  auto: {}\n  slow: {strategy: weighted}\n"
    oracle.write_text(text)
    assert run("serve", "--port", "0", "--host", "0.0.0.0").code == 4
    keys = {
        "free": run("keys", "create", "free", "--tenant", "ann").out.strip(),
        "bound": run("keys", "create", "bound", "--tenant", "bob", "--routes", "slow").out.strip(),
        "choosy": run("keys", "create", "choosy", "--strategies", "weighted").out.strip(),
        "brief": run("keys", "create", "brief", "--expires", "1s").out.strip(),
    }
    process = start("serve", "--port", "0", "--host", "0.0.0.0", folder=oracle.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield served, keys
    if process.poll() is None:
        _, out, err = served.stop()
        assert not any(key in out + err for key in keys.values())


def test_a_key_does_what_it_may_and_no_more(keyed: tuple[Served, dict[str, str]]) -> None:
    """401 without a good one or after its time, 403 in OpenAI's shape for a route or a strategy that is not its own."""
    served, keys = keyed
    assert ask(served, keys["free"])[0] == 200
    assert ask(served, keys["bound"], "slow")[0] == 200
    for key, model, code in (("bound", "auto", "route"), ("bound", "oracle", "route"), ("choosy", "auto", "strategy")):
        status, body = ask(served, keys[key], model)
        error = body["error"]
        assert (status, error["code"], error["type"]) == (403, f"{code}_not_allowed", "permission_error")
        assert error["param"] == "model"
    assert ask(served, keys["choosy"], "weighted")[0] == 200
    assert ask(served, "sk-eq-" + "x" * 49)[0] == 401
    until_true(lambda: ask(served, keys["brief"])[0] != 200)
    status, body = ask(served, keys["brief"])
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")
    assert "expired" in body["error"]["message"]
    listed = [model["id"] for model in call(served, "/v1/models", keys["bound"])[1]["data"]]
    assert listed == ["slow"]


def test_a_holder_is_told_what_his_key_used_and_nobody_elses(keyed: tuple[Served, dict[str, str]]) -> None:
    """Requests and tokens of this key, its terms; another's story stays unknown to him."""
    served, keys = keyed
    within_one_day()
    story = ""
    for _ in range(3):
        status, body = ask(served, keys["free"])
        assert status == 200
        story = body["request_id"]
    ask(served, keys["bound"], "slow")
    status, mine = call(served, "/me/usage", keys["free"])
    assert status == 200
    assert (mine["key"], mine["tenant"], mine["today"]["requests"], mine["month"]["requests"]) == ("free", "ann", 3, 3)
    assert [row["backend"] for row in mine["month_by_backend"]] == ["oracle"]
    status, other = call(served, "/me/usage", keys["bound"])
    assert (other["today"]["requests"], other["terms"]["routes"]) == (1, ["slow"])
    assert call(served, f"/v1/requests/{story}", keys["free"])[0] == 200
    assert call(served, f"/v1/requests/{story}", keys["bound"])[0] == 404


def test_a_revoked_key_is_refused_within_seconds_without_a_restart(
    keyed: tuple[Served, dict[str, str]], run: Run
) -> None:
    """Rotated: both are good; revoked: neither is; and a gateway whose keys are all gone opens to nobody."""
    served, keys = keyed
    new = run("keys", "rotate", "free").out.strip()
    until_true(lambda: ask(served, new)[0] == 200, 5.0)
    assert ask(served, keys["free"])[0] == 200
    for name in keys:
        assert run("keys", "revoke", name, "--yes").code == 0
    until_true(lambda: ask(served, new)[0] == 401, 5.0)
    assert {ask(served, key)[0] for key in (*keys.values(), new)} == {401}
    assert call(served, "/v1/models", "none at all")[0] == 401
