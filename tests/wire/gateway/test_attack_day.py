"""A client with a good key, and a stranger without one, against a gateway that is served."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from equipoise.gateway import ClientKeys
from equipoise.http import Request, Response, Server
from tests.shell.cli.conftest import Served, folder, start  # noqa: F401 (fixture)
from tests.wire.gateway.fleet import Fleet

hmac_compare = hmac.compare_digest
KEY, UPSTREAM_KEY = "ann-key-of-this-test", "sk-upstream-key-of-this-test"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OURS = {
    "x-equipoise-deadline-ms",
    "host",
    "content-type",
    "accept",
    "authorization",
    "content-length",
    "user-agent",
    "accept-encoding",
    "connection",
}
EVIL = {
    "cookie": "session=1", "x-api-key": "another", "x-forwarded-for": "6.6.6.6", "x-forwarded-host": "evil.example",
    "forwarded": "for=6.6.6.6", "x-evil": "1", "proxy-authorization": "Basic eDp5", "te": "trailers", "via": "1.1 evil",
    "x-original-url": "/admin", "x-http-method-override": "DELETE", "x-equipoise-tags": "a,b", "openai-organization": "org-evil",
    "tracestate": "a=b", "baggage": "user=ann", "x-equipoise-endpoint-url": "http://169.254.169.254/", "host": "evil.example",
}  # fmt: skip


@pytest.fixture(params=["own", "uvicorn"])
def served(folder: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Served, list[Request]]]:  # noqa: F811
    """A gateway before an upstream that notes every request, in a thread of its own."""
    heard: list[Request] = []
    answer = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}

    async def handle(request: Request) -> Response:
        heard.append(request)
        return Response(200, ((b"content-type", b"application/json"),), json.dumps(answer).encode())

    loop, server, ready = asyncio.new_event_loop(), Server(handle), threading.Event()

    async def serve() -> None:
        await server.start("127.0.0.1", 0)
        ready.set()

    thread = threading.Thread(target=lambda: (loop.run_until_complete(serve()), loop.run_forever()), daemon=True)
    thread.start()
    assert ready.wait(5)
    (folder / "equipoise.yaml").write_text(
        f"backend_instances:\n  up: {{backend_type: local_llm, endpoint_url: 'http://127.0.0.1:{server.port}/v1', model: m,"
        f" api_key: {UPSTREAM_KEY}}}\nkeys: {{ann: {{key: {KEY}, tenant: ann}}}}\nstate_dir: state\n"
        f"server: {request.param}\nlisten: {{trusted_proxies: [127.0.0.1]}}\n"
    )
    process = start("serve", "--port", "0", folder=folder)
    assert process.stdout is not None
    yield Served(process, [process.stdout.readline().rstrip() for _ in range(5)]), heard
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=20)
    asyncio.run_coroutine_threadsafe(server.drain(0), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def raw(url: str, head: str, body: bytes = b"") -> bytes:
    """What comes back for exactly these bytes."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as connection:
        connection.sendall(head.encode("latin-1") + b"\r\n" + body)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


def posted(url: str, headers: dict[str, str], model: str = "auto") -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "What?"}]}).encode()
    lines = {"host": "a", "authorization": f"Bearer {KEY}", "connection": "close", "content-type": "application/json"}
    fields = {**lines, **headers, "content-length": str(len(body))}
    head = "POST /v1/chat/completions HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return raw(url, head, body)


def test_nothing_of_a_clients_headers_reaches_an_upstream_but_a_trace(served: tuple[Served, list[Request]]) -> None:
    """Neither its key, nor its cookies, nor anything that a proxy or a backend would believe."""
    gateway, heard = served
    assert posted(gateway.url, {**EVIL, "traceparent": PARENT}).startswith(b"HTTP/1.1 200")
    (found,) = [request for request in heard if request.method == "POST"]
    names = {name.decode() for name in found.headers}
    assert names <= OURS | {"traceparent", "tracestate"}
    assert found.headers[b"authorization"] == f"Bearer {UPSTREAM_KEY}".encode()
    assert b"evil" not in b"".join(found.headers.values())
    for split in ("\n", "\r", "\x00"):
        told = posted(gateway.url, {"traceparent": f"{PARENT}{split}x-injected: 1"})
        assert told.startswith(b"HTTP/1.1 400")
    assert posted(gateway.url, {"traceparent": f"{PARENT}\xff"}).startswith(b"HTTP/1.1 200")
    asked = [request for request in heard if request.method == "POST"]
    assert len(asked) == 2
    assert b"traceparent" not in asked[1].headers


def test_what_stands_behind_a_body_is_no_field_of_the_request(served: tuple[Served, list[Request]]) -> None:
    """Trailers: neither a hint, nor a name, nor another key, nor an address that a proxy in front had not let pass."""
    gateway, heard = served
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What?"}]}).encode()
    trailers = (
        "x-equipoise-strategy: none there is\r\nx-request-id: behind\r\nauthorization: Bearer nobody\r\n"
        "x-forwarded-for: 6.6.6.6\r\ntraceparent: " + PARENT + "\r\n"
    )
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
        "x-forwarded-for: 10.1.2.3\r\ntransfer-encoding: chunked\r\n"
    )
    told = raw(gateway.url, head, b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, trailers.encode()))
    assert told.startswith(b"HTTP/1.1 200")
    assert b"behind" not in told
    (asked,) = [request for request in heard if request.method == "POST"]
    assert b"traceparent" not in asked.headers


def test_a_client_cannot_write_a_line_of_the_log(served: tuple[Served, list[Request]]) -> None:
    """Nor steer the terminal that shows it: whatever it says in path, model, id, tag or session."""
    gateway, _ = served
    evil = "x\\u000a2026-11-26T00:00:00Z error forged=1 \\u001b[31m"
    posted(
        gateway.url,
        {"x-request-id": "a\x9b31mb", "x-equipoise-tags": "status=500 forged=1", "x-equipoise-session": "s=1"},
    )
    body = f'{{"model": "{evil}", "user": "{evil}", "messages": [{{"role": "user", "content": "{evil}"}}]}}'.encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n"
    raw(gateway.url, f"{head}content-length: {len(body)}\r\n", body)
    raw(gateway.url, "GET /%0aforged%1b[31m HTTP/1.1\r\nhost: a\r\nconnection: close\r\n")
    raw(
        gateway.admin_url,
        "POST /admin/backends/%0aforged%1b[31m/drain HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
    )
    _, out, err = gateway.stop()
    log = out + err
    assert "forged" not in log
    assert all(sign.isprintable() or sign == "\n" for sign in log)
    assert KEY not in log
    assert UPSTREAM_KEY not in log


def test_the_time_of_a_refusal_does_not_depend_on_how_much_of_a_key_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked up is a digest under a secret of the process, what is compared are digests, in constant time: nothing that
    is looked at sign by sign is a key, or anything that a stranger could work out of one."""
    compared: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        "equipoise.gateway.keys.hmac.compare_digest",
        lambda a, b: compared.append((a, b)) or hmac_compare(a, b),  # type: ignore[func-returns-value]
    )
    first, second = ClientKeys.of([KEY]), ClientKeys.of([KEY])
    assert first._known.keys().isdisjoint(second._known), "another process looks up something else"
    for shown in (KEY, KEY[:-1] + "?", "?" + KEY[1:], "nothing"):
        good = first.caller({b"x-api-key": shown.encode()})
        assert (good is not None) == (shown == KEY)
    assert len(compared) == 4
    assert all(len(a) in (0, 32) and len(b) == 32 for a, b in compared)
    assert not any(KEY.encode() in (a, b) for a, b in compared)


async def test_an_upstream_cannot_have_us_ask_elsewhere(tmp_path: Path) -> None:
    """A redirect, to our own admin listener or to a cloud's metadata, is a failure of that backend."""
    asked: list[str] = []

    async def elsewhere(request: Request) -> Response:
        asked.append(request.path)
        return Response(200, (), b"{}")

    target = Server(elsewhere)
    await target.start("127.0.0.1", 0)
    place = f"http://127.0.0.1:{target.port}/admin/reload".encode()

    async def redirecting(request: Request) -> Response:
        return Response(307, ((b"location", place), (b"refresh", b"0;url=" + place)), b"")

    source = Server(redirecting)
    await source.start("127.0.0.1", 0)
    fleet = Fleet(tmp_path)
    for name in ("graph_deep", "web_search", "general_llm"):
        fleet.say(name, endpoint_url=f"http://127.0.0.1:{source.port}/v1")
    await fleet.start()
    body = {"messages": [{"role": "user", "content": "What?"}], "model": "auto"}
    response = await fleet.post("/v1/chat/completions", body)
    assert response.status >= 500
    await response.read()
    await fleet.stop()
    assert asked == []
    await source.drain(0)
    await target.drain(0)
