"""Which web pages may ask the public listener."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from equipoise.config.people import CORSConfig
from equipoise.gateway import ClientKeys
from equipoise.gateway.pages import Pages
from equipoise.http import Response
from tests.shell.gateway.scripted import ScriptedBalancer, fields_of, gateway_of, http

APP = "https://app.example.org"
PATH = "/v1/chat/completions"
BODY = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "?"}]}).encode()


async def posted(origin: str | None, **options: Any) -> Response:
    headers = {} if origin is None else {"origin": origin}
    gateway = gateway_of(ScriptedBalancer(), **options)
    request = http("POST", PATH, BODY, authorization="Bearer good", **headers)
    return gateway.admit(request) or await gateway.handle(request)


def cors_of(response: Response) -> dict[bytes, bytes]:
    return {name: value for name, value in response.headers if name.startswith(b"access-control-")}


@pytest.mark.parametrize("origin", [None, APP, "http://localhost:3000"])
async def test_without_named_origins_no_page_is_let_read(origin: str | None) -> None:
    """CORS is off: no field of it is ever sent, to a preflight neither."""
    keys = ClientKeys.of(["good"])
    assert cors_of(await posted(origin, keys=keys)) == {}
    asked = http("OPTIONS", PATH, origin=APP, access_control_request_method="POST")
    refused = gateway_of(ScriptedBalancer(), keys=keys).admit(asked)
    assert refused is not None
    assert (refused.status, cors_of(refused)) == (401, {})


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        (APP, True),
        (APP + ":8443", False),
        (APP + ".evil.example", False),
        ("http://app.example.org", False),
        ("https://evil-app.example.org", False),
        ("null", False),
        (APP.upper(), False),
        (f"{APP}, {APP}", False),
    ],
)
async def test_exactly_the_named_origins_may(origin: str, may: bool) -> None:
    """To the letter; and never with credentials."""
    keys, pages = ClientKeys.of(["good"]), Pages([APP], 60)
    found = fields_of(await posted(origin, keys=keys, pages=pages))
    assert found.get(b"access-control-allow-origin") == (APP.encode() if may else None)
    assert b"access-control-allow-credentials" not in found
    assert found[b"vary"] == b"origin"
    asked = http("OPTIONS", PATH, origin=origin, access_control_request_method="POST")
    answer = gateway_of(ScriptedBalancer(), keys=keys, pages=pages).admit(asked)
    assert answer is not None
    assert answer.status == (204 if may else 401)


async def test_a_page_is_let_read_that_its_key_is_wrong() -> None:
    """Otherwise its developer sees nothing but `network error`."""
    request = http("POST", PATH, BODY, authorization="Bearer bad", origin=APP)
    refused = gateway_of(ScriptedBalancer(), keys=ClientKeys.of(["good"]), pages=Pages([APP])).admit(request)
    assert refused is not None
    assert (refused.status, fields_of(refused)[b"access-control-allow-origin"]) == (401, APP.encode())


async def test_a_kept_answer_does_not_keep_the_origin_it_was_given_to() -> None:
    """Asked again under an Idempotency-Key by a page of another origin, or by no page."""
    gateway = gateway_of(ScriptedBalancer(), keys=ClientKeys.of(["good"]), pages=Pages([APP, "https://b.example"]))
    found = []
    for origin in (APP, "https://b.example", "https://evil.example"):
        headers = {"authorization": "Bearer good", "idempotency_key": "same", "origin": origin}
        found.append(cors_of(await gateway.handle(http("POST", PATH, BODY, **headers))))
    assert [one.get(b"access-control-allow-origin") for one in found] == [APP.encode(), b"https://b.example", None]


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://127.0.0.1:4000", 200),
        ("http://localhost:3000", 200),
        ("http://[::1]:3000", 200),
        (APP, 200),
        ("http://rebound.example:4000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://[broken", 403),
        ("\xff", 403),
    ],
)
async def test_where_no_key_is_needed_pages_of_the_web_cannot_ask(origin: str | None, status: int) -> None:
    """They could spend money by a form they post, or by a name of theirs that resolves to this machine."""
    headers = {} if origin is None else {"origin": origin}
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, pages=Pages([APP]))
    request = http("POST", PATH, BODY, **headers)
    response = gateway.admit(request) or await gateway.handle(request)
    assert response.status == status
    assert len(balancer.asked) == (1 if status == 200 else 0)


@pytest.mark.parametrize(
    "origin",
    ["*", "https://*.example.org", "https://a.example/path", "https://a.example/", "a.example", "null", "ftp://a.example",
     "https://u@a.example", "HTTPS://a.example", "https://a.example,https://b.example/x", "https://a\u202e.example"],
)  # fmt: skip
def test_what_is_no_exact_origin_is_refused(origin: str) -> None:
    """No wildcards, no paths."""
    with pytest.raises(ValidationError):
        CORSConfig(origins=(origin,)) if "," not in origin else CORSConfig.model_validate({"origins": origin})


@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("127.0.0.1:4000", True),
        ("[::1]:4000", True),
        ("192.168.1.7", True),
        ("localhost:4000", True),
        ("LOCALHOST.:4000", True),
        ("gateway:4000", True),
        ("app.localhost", True),
        ("app.example.org", True),
        ("", True),
        ("evil.example", False),
        ("[.:.]:4000", False),
        ("evil.example.:4000", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:4000", False),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("GET", "/health"), ("GET", "/metrics"), ("POST", PATH)]
)
async def test_no_page_reads_by_a_name_of_its_own_that_leads_here(method: str, path: str, host: str, may: bool) -> None:
    """DNS rebinding: to the browser it is the page's own site, so no Origin is sent; the Host gives it away."""
    gateway = gateway_of(ScriptedBalancer(), pages=Pages([APP], here=True))
    request = http(method, path, BODY if method == "POST" else b"", host=host)
    request.client = "127.0.0.1"
    response = gateway.admit(request) or await gateway.handle(request)
    assert response.status == (200 if may else 403), response.body
    request.path, request.method = "/readyz", "GET"
    assert (await gateway.handle(request)).status == 200, "whoever probes may come by any name"


async def test_with_keys_or_from_elsewhere_any_name_is_good_but_metrics_want_a_key() -> None:
    """A page has none; and who comes through a trusted proxy, or to a listener that others reach, asks by the proxy's name."""
    keys = ClientKeys.of(["good"])
    request = http("GET", "/v1/models", host="llm.example.org", authorization="Bearer good")
    request.client = "127.0.0.1"
    assert (await gateway_of(ScriptedBalancer(), keys=keys, pages=Pages(here=True)).handle(request)).status == 200
    for pages, client in ((Pages(here=True), "10.0.0.7"), (Pages(here=False), "127.0.0.1")):
        request.client = client
        assert (await gateway_of(ScriptedBalancer(), pages=pages).handle(request)).status == 200
    scrape = http("GET", "/metrics", host="evil.example")
    scrape.client = "127.0.0.1"
    assert (await gateway_of(ScriptedBalancer(), keys=keys, pages=Pages(here=True)).handle(scrape)).status == 401
