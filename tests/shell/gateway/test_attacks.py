"""What a fresh pair of eyes tried, and what came of it once: each stays tried."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.build import build
from equipoise.build.keys import callers_of
from equipoise.cli.output import document
from equipoise.config.changes import brings_code, field_named
from equipoise.config.load import load
from equipoise.core.callers import Caller, Role
from equipoise.gateway import ClientKeys, explaining
from equipoise.gateway import headers as fields
from equipoise.gateway.configuring import DoBody, read_body
from equipoise.gateway.hints import trace
from equipoise.gateway.ids import RequestIds
from equipoise.gateway.keys import digest
from equipoise.gateway.people import People
from equipoise.gateway.problems import Problem
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, gateway_of, http, reply_of, whole

CHAT = "/v1/chat/completions"
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEEP = 100_000


def question(model: str = "auto") -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "?"}]}).encode()


async def test_a_kept_answer_is_given_to_no_other_key_of_the_tenant() -> None:
    """The other key may not be allowed to ask this, and its rate would not be charged."""
    terms = {digest(name): Caller(key=name, tenant="ann") for name in ("free", "bound")}
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, ClientKeys(terms))
    for name, times in (("free", 1), ("free", 1), ("bound", 2)):
        request = http("POST", CHAT, question(), authorization=f"Bearer {name}", idempotency_key="k")
        await whole(await gateway.handle(request))
        assert len(balancer.asked) == times


async def test_only_a_key_that_names_it_asks_by_the_route_of_a_graph(tmp_path: Path) -> None:
    """What comes that way is counted for whoever's question is at the graph: another tenant would spend his budget."""
    engine = {"backend_type": "function", "function": "tests.shell.trust.engines:trusted"}
    graph = {"backend_type": "lightrag", "endpoint_url": "http://127.0.0.1:9", "llm_via": ["inside"]}
    more = {
        "routes": {"auto": {"backends": ["graph"]}, "inside": {"backends": ["model"]}},
        "ledger": {"enabled": False},
    }
    said = {"backend_instances": {"graph": graph, "model": engine}, "state_dir": str(tmp_path), **more}
    terms = {"graph": frozenset({"inside"}), "bob": None}
    keys = ClientKeys({digest(name): Caller(key=name, routes=routes) for name, routes in terms.items()})
    async with build(load(said).config).balancer as balancer:
        for who, status in (("graph", 200), ("bob", 403)):
            request = http("POST", CHAT, question("inside"), authorization=f"Bearer {who}")
            response = await gateway_of(balancer, keys).handle(request)
            assert response.status == status, response.body
        assert (await gateway_of(balancer).handle(http("POST", CHAT, question("inside")))).status == 200, (
            "nobody has a key"
        )


@pytest.mark.parametrize(
    "body",
    [b"[" * DEEP, b'{"a":' * DEEP, b'{"messages":' + b"[" * DEEP, b'{"question":"x","more":' + b"[" * DEEP],
    ids=["lists", "objects", "messages", "beside"],
)
@pytest.mark.parametrize(
    "path",
    [CHAT, "/v1/responses", "/v1/embeddings", "/query", "/v1/feedback", "/v1/route/explain", "/admin/route/explain",
     "/admin/backends/graph-a/weight"],
)  # fmt: skip
async def test_a_deep_body_is_a_bad_request_everywhere(path: str, body: bytes) -> None:
    """Never a defect of ours, never a broken connection."""
    balancer: Any = ScriptedBalancer()
    gateway = gateway_of(balancer, operations=explaining.operations(balancer))
    handle = gateway.handle_admin if path.startswith("/admin") else gateway.handle
    assert (await handle(http("POST", path, body))).status in (400, 413, 422)


def test_a_deep_body_for_operators_is_one_too() -> None:
    """Whatever the operation reads."""
    with pytest.raises(Problem) as refused:
        read_body(b'{"dry_run":' + b"[" * DEEP, DoBody)
    assert refused.value.status == 400


def test_nobody_takes_the_request_id_of_another_key() -> None:
    """Stories, opinions and rates are found by it."""
    ids = RequestIds("ours-")
    ann = {b"x-request-id": b"shared", b"x-api-key": b"ann"}
    assert (ids.of(ann), ids.of(ann)) == ("shared", "shared")
    assert ids.of({**ann, b"x-api-key": b"bob"}) == "ours-1"
    assert ids.of({b"x-request-id": b"shared"}) == "ours-2"
    assert ids.of({b"x-request-id": b"ours-1", b"x-api-key": b"bob"}) == "ours-3", "made for somebody else"
    assert ids.of({b"x-request-id": b"refused"}, claims=False) == "refused"
    assert ids.of({b"x-request-id": b"refused", b"x-api-key": b"ann"}) == "refused", "who was refused claims nothing"


def test_the_owners_of_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends many costs no memory."""
    monkeypatch.setattr("equipoise.gateway.ids.REMEMBERED", 100)
    ids = RequestIds()
    for number in range(1_000):
        ids.of({b"x-request-id": b"%d" % number})
    assert len(ids._owners) == 100


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_upstreams_are_shown_a_trace_or_nothing(parent: bytes, state: bytes) -> None:
    """No other word of a client's headers reaches them."""
    for name, value in trace({b"traceparent": parent, b"tracestate": state}):
        assert all(32 <= byte < 127 for byte in value), name
    assert dict(trace({b"traceparent": PARENT, b"tracestate": state})).keys() >= {b"traceparent"}
    assert trace({b"tracestate": b"a=b"}) == ()


@pytest.mark.parametrize("parent", [b"x y, z", PARENT + b"\xff", PARENT + b", " + PARENT, PARENT.upper(), b""])
def test_what_is_no_trace_is_not_passed_on(parent: bytes) -> None:
    """It is dropped, as the standard says, and the question is answered."""
    assert trace({b"traceparent": parent, b"tracestate": b"a=b"}) == ()


@pytest.mark.parametrize("name", ["strategy", "routes.auto.strategy"])
@pytest.mark.parametrize("value", ["subprocess:Popen", "os:system", "file:/etc/passwd"])
def test_a_change_at_run_time_brings_no_code(name: str, value: str) -> None:
    """A strategy of one's own is code: it stands in the configuration file only."""
    assert brings_code({field_named(name): value}) == name
    assert brings_code({field_named(name): "weighted"}) is None


def test_json_on_a_terminal_steers_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters of both sets and reversed writing stand escaped, and mean the same."""
    said = {"who": "ann\x9b31m\u202e\x1b[31m\x7f", "plain": "Müller \N{GREEK SMALL LETTER ALPHA}"}
    document(said)
    out = capsys.readouterr().out
    assert all(sign.isprintable() or sign == "\n" for sign in out)
    assert json.loads(out) == said
    assert "Müller α" in out


def test_header_fields_that_are_made_once_hold_no_more_than_a_header() -> None:
    """They are kept by what an upstream calls its model, which may be megabytes."""
    fields.answered_by.cache_clear()
    reply = reply_of(msgspec.structs.replace(CITED, model="m" * 1_000_000), "r")
    told = dict(fields.of_reply("r", reply, None, 0.0))
    assert len(told[b"x-equipoise-model"]) == fields.MAX_VALUE
    again = reply_of(msgspec.structs.replace(CITED, model="m" * 1_000_000 + "n"), "r")
    fields.of_reply("r", again, None, 0.0)
    assert fields.answered_by.cache_info().currsize == 1


@pytest.mark.parametrize(
    ("client", "key", "status"),
    [
        ("127.0.0.1", "", 200),
        ("::1", "", 200),
        ("10.0.0.9", "", 401),
        ("unix", "", 401),
        ("", "", 401),
        ("10.0.0.9", "nobody's", 401),
        ("10.0.0.9", "gone", 401),
        ("10.0.0.9", "ann", 200),
        ("10.0.0.9", "tenant", 401),
        ("10.0.0.9", "eve", 200),
    ],
)
async def test_metrics_are_shown_here_and_elsewhere_to_holders_of_a_key(client: str, key: str, status: int) -> None:
    """An operator's, or a client's where it is of no tenant of its own, on either listener: they name backends and what all
    tenants spent."""
    terms = (Caller(key="ann"), Caller(key="gone", expires=1.0), Caller(key="tenant", tenant="acme"))
    keys = ClientKeys({digest(caller.key): caller for caller in terms})
    people = People(ClientKeys({digest("eve"): Caller(key="eve", role=Role.VIEW)}))
    asked = http("GET", "/metrics", **({"authorization": f"Bearer {key}"} if key else {}))
    asked.client = client
    gateway = gateway_of(ScriptedBalancer(), keys, people=people)
    asked.headers[b"host"] = b"localhost"
    assert [(await handle(asked)).status for handle in (gateway.handle, gateway.handle_admin)] == [status, status]
    assert (await gateway_of(ScriptedBalancer(), keys, open_metrics=True).handle(asked)).status == 200
    assert (await gateway_of(ScriptedBalancer()).handle(asked)).status == 200, "nobody needs a key"


async def test_a_key_without_routes_reads_metrics_and_asks_nothing(tmp_path: Path) -> None:
    """For a scraper: `routes: []`."""
    engine = {"backend_type": "function", "function": "tests.shell.trust.engines:trusted"}
    key = {"key": "sk-eq-" + "0" * 48, "routes": []}
    said = {"backend_instances": {"model": engine}, "keys": {"scraper": key}, "state_dir": str(tmp_path)}
    config = load({**said, "ledger": {"enabled": False}}).config
    async with build(config).balancer as balancer:
        gateway = gateway_of(balancer, ClientKeys(callers_of(config)))
        shown = {"authorization": f"Bearer {key['key']}"}
        scrape = http("GET", "/metrics", **shown)
        scrape.client = "10.0.0.9"
        assert (await gateway.handle(scrape)).status == 200
        for model in ("auto", "model"):
            refused = await gateway.handle(http("POST", CHAT, question(model), **shown))
            assert (refused.status, b"route_not_allowed" in await whole(refused)) == (403, True)
