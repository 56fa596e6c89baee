"""A gateway that is served with `jwt:`: what a token opens at each of its doors, and what none does."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.shell.cli.conftest import Served, folder, oracle, start  # noqa: F401 (fixtures)
from tests.wire.gateway.test_tokens import AUDIENCE, ISSUER, SECRETS, STRANGE, confused, public, signed, unsigned

QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "six times seven?"}]}
CONFIG = """\
keys: {{ann: {{key: the-key-of-ann-1, tenant: clinic}}}}
jwt:
  issuer: {issuer}
  audience: {audience}
  jwks_url: {url}
  tenant_claim: org
  role_claim: groups
  roles: {{ops: operate, root: admin}}
"""
DOORS: dict[str, tuple[str, str, Any]] = {
    "ask": ("url", "/v1/chat/completions", QUESTION),
    "look": ("admin_url", "/admin/backends", None),
    "operate": ("admin_url", "/admin/backends/oracle/resume", {}),
    "change": ("admin_url", "/admin/reload", {}),
}


@contextmanager
def provider() -> Iterator[str]:
    """An identity provider's set of keys, in a thread of its own."""
    body = json.dumps({"keys": [public(name, key) for name, key in SECRETS.items()]}).encode()

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: Any) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


@pytest.fixture
def serve(oracle: Path) -> Iterator[Callable[[str], Served]]:  # noqa: F811
    """Serve with the keys at an address."""
    running: list[Served] = []

    def begin(url: str) -> Served:
        with oracle.open("a") as file:
            file.write(CONFIG.format(issuer=ISSUER, audience=AUDIENCE, url=url))
        process = start("serve", "--port", "0", folder=oracle.parent)
        assert process.stdout is not None
        running.append(Served(process, [process.stdout.readline().rstrip() for _ in range(5)]))
        return running[-1]

    yield begin
    for each in running:
        if each.process.poll() is None:
            each.stop()


def asked(gateway: Served, door: str, shown: str) -> tuple[int, Any]:
    listener, path, body = DOORS[door]
    data = None if body is None else json.dumps(body).encode()
    fields = {"content-type": "application/json", "authorization": f"Bearer {shown}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(getattr(gateway, listener) + path, data, fields), timeout=10
        ) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def opened(gateway: Served, token: bytes) -> list[int]:
    """The status at each door."""
    return [asked(gateway, door, token.decode())[0] for door in DOORS]


def test_a_token_opens_what_its_claims_say_and_a_forged_one_nothing(serve: Callable[[str], Served]) -> None:
    """Asking by its tenant, looking and steering by its role, written down by its subject; a stranger's token opens no door,
    and neither does a good one for somebody else."""
    with provider() as url:
        gateway = serve(url)
        assert opened(gateway, signed()) == [200, 200, 200, 403]
        assert opened(gateway, signed("ec", groups="root")) == [200, 200, 200, 200]
        assert opened(gateway, signed("ed", groups=["nobody"])) == [200, 401, 401, 401]
        assert opened(gateway, signed(org=None)) == [401, 200, 200, 403]
        forged = [unsigned("none"), confused(), signed(key=STRANGE), signed(head={"kid": "../../dev/null"})]
        others = [signed(aud="another"), signed(iss="https://elsewhere.example.org/"), signed(exp=1.0)]
        for token in (*forged, *others):
            assert opened(gateway, token) == [401] * 4
        entries = asked(gateway, "look", signed().decode())[0]
        assert entries == 200
        journal = urllib.request.Request(
            gateway.admin_url + "/admin/audit?limit=100", headers={"authorization": f"Bearer {signed().decode()}"}
        )
        with urllib.request.urlopen(journal, timeout=10) as answer:
            told = answer.read().decode()
        assert {entry["who"] for entry in json.loads(told)["entries"]} == {"jwt:ann", ""}
        assert signed().decode().split(".")[2][:20] not in told
        _, out, err = gateway.stop()
    assert signed().decode()[:60] not in out + err


def test_while_the_provider_cannot_be_reached_keys_are_good_and_tokens_are_not(serve: Callable[[str], Served]) -> None:
    """Neither does the gateway wait for it to begin, nor does anybody become somebody by it."""
    gateway = serve("http://127.0.0.1:9/keys")
    assert opened(gateway, signed()) == [401] * 4
    assert asked(gateway, "ask", "the-key-of-ann-1")[0] == 200
    assert "cannot be had" in gateway.stop()[2]
