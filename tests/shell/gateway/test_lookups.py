"""Models, stories, keys, probes: what is read and not asked."""

from __future__ import annotations

import json

import pytest

from equipoise.gateway import ClientKeys
from equipoise.gateway.keys import digest
from equipoise.gateway.lookup import NOTHING
from tests.shell.gateway.scripted import ScriptedBalancer, gateway_of, http, whole

QUESTION = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'


@pytest.fixture
def balancer() -> ScriptedBalancer:
    return ScriptedBalancer()


def test_what_is_shared_by_those_without_a_cache_holds_nothing_for_ever():
    """No answer of one tenant can be left in it for the next."""
    with pytest.raises(AttributeError):
        NOTHING.age = 1.0
    assert (NOTHING.key, NOTHING.kept, NOTHING.fields()) == (None, None, [])


async def test_models_are_listed_and_looked_up(balancer: ScriptedBalancer):
    """Names with a slash in them too."""
    gateway = gateway_of(balancer)
    listed = json.loads(await whole(await gateway.handle(http("GET", "/v1/models"))))
    assert [model["id"] for model in listed["data"]] == ["auto", "graph-a", "provider/model"]
    assert (await gateway.handle(http("GET", "/v1/models/provider%2Fmodel"))).status == 200
    assert (await gateway.handle(http("GET", "/v1/models/provider/model"))).status == 200
    assert (await gateway.handle(http("GET", "/v1/models/gpt-9"))).status == 404


async def test_a_request_has_a_story(balancer: ScriptedBalancer):
    """Everything about one request; 404 for one that is not recorded."""
    gateway = gateway_of(balancer)
    story = json.loads(await whole(await gateway.handle(http("GET", "/v1/requests/known"))))
    assert (story["question_hash"], story["answered_by"], story["cost_usd"]) == ("abc", "graph-a", "0.000001000")
    assert story["attempts"][0]["decision"]["compared"] == {"graph-a": 1.0}
    assert (await gateway.handle(http("GET", "/v1/requests/unknown"))).status == 404


async def test_a_tenant_hears_only_its_own_stories(balancer: ScriptedBalancer):
    """Guessing somebody else's id gives 404."""
    gateway = gateway_of(balancer, ClientKeys.of(["sk-a"], tenant="somebody else"))
    assert (await gateway.handle(http("GET", "/v1/requests/known", x_api_key="sk-a"))).status == 404


async def test_without_a_good_key_nothing_is_asked(balancer: ScriptedBalancer):
    """401 on every path but those of probes, before and after the body is read."""
    gateway = gateway_of(balancer, ClientKeys.of(["sk-a"]))
    for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/v1/requests/known")):
        request = http(method, path, QUESTION, authorization="Bearer wrong")
        response = await gateway.handle(request)
        assert response.status == 401
        assert json.loads(await whole(response))["error"]["code"] == "invalid_api_key"
        early = gateway.admit(request)
        assert early is not None
        assert early.status == 401
    assert balancer.asked == []
    for path in ("/livez", "/readyz", "/health", "/metrics"):
        assert (await gateway.handle(http("GET", path))).status == 200


async def test_a_good_key_names_the_tenant(balancer: ScriptedBalancer):
    """Whose key it is goes with the question."""
    gateway = gateway_of(balancer, ClientKeys.of(["sk-a"], tenant="team-a"))
    request = http("POST", "/v1/chat/completions", QUESTION, authorization="Bearer sk-a")
    assert gateway.admit(request) is None
    assert (await gateway.handle(request)).status == 200
    assert balancer.hints[0].tenant == "team-a"


async def test_readiness_lists_its_checks(balancer: ScriptedBalancer):
    """As Kubernetes' own servers do; draining fails it while liveness goes on."""
    gateway = gateway_of(balancer, ready=lambda: {"ledger": "ok", "backends": "none is\nhealthy"})
    verbose = await gateway.handle(http("GET", "/readyz", query="verbose"))
    assert verbose.status == 503
    assert (await whole(verbose)).decode().splitlines() == [
        "[+]ledger ok",
        "[-]backends failed: none is healthy",
        "[+]shutdown ok",
        "readyz check failed",
    ]
    good = gateway_of(balancer)
    assert await whole(await good.handle(http("GET", "/readyz"))) == b"ok"
    good.health.draining = True
    assert (await good.handle(http("GET", "/readyz"))).status == 503
    assert (await good.handle(http("GET", "/livez"))).status == 200


async def test_health_details_need_a_key(balancer: ScriptedBalancer):
    """Everybody learns whether it is well, key holders how its backends are; not those of one tenant among others, for
    requests and costs are those of all."""
    gateway = gateway_of(balancer, ClientKeys({digest("sk-a"): "default", digest("sk-b"): "another"}))
    told = json.loads(await whole(await gateway.handle(http("GET", "/health", x_api_key="sk-b"))))
    assert told == {"status": "healthy"}
    assert json.loads(await whole(await gateway.handle(http("GET", "/health")))) == {"status": "healthy"}
    detailed = json.loads(await whole(await gateway.handle(http("GET", "/health", x_api_key="sk-a"))))
    assert detailed["backends"] == [{"id": "graph-a", "draining": False}]
    assert detailed["checks"] == {"ledger": "ok", "shutdown": "ok"}
