"""A key is looked up once for a request, and judged anew when its body is there."""

from __future__ import annotations

from equipoise.core.callers import Caller
from equipoise.gateway import ClientKeys
from equipoise.gateway.keys import digest
from equipoise.http import Headers
from tests.shell.gateway.scripted import ScriptedBalancer, gateway_of, http

QUESTION = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
CHAT = "/v1/chat/completions"


class Counting(ClientKeys):
    """Counts how often a key is looked up."""

    looked = 0

    def _holder(self, headers: Headers) -> Caller | None:
        self.looked += 1
        return super()._holder(headers)


async def test_a_key_is_looked_up_once_for_a_request_and_again_for_the_next() -> None:
    """Not once for the head and once more for the body; a request that was never admitted is no friend."""
    keys = Counting({digest("good"): "team"})
    gateway = gateway_of(ScriptedBalancer(), keys)
    for asked in (1, 2):
        request = http("POST", CHAT, QUESTION, authorization="Bearer good")
        assert gateway.admit(request) is None
        assert (await gateway.handle(request)).status == 200
        assert keys.looked == asked
    assert (await gateway.handle(http("POST", CHAT, QUESTION))).status == 401


async def test_a_key_that_is_revoked_while_the_body_comes_is_refused() -> None:
    """What was found by the keys of before counts for nothing under those of now,"""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, ClientKeys.of(["good", "other"]))
    request = http("POST", CHAT, QUESTION, authorization="Bearer good")
    assert gateway.admit(request) is None
    gateway.accept(ClientKeys.of(["other"]))
    assert (await gateway.handle(request)).status == 401
    assert balancer.asked == []


async def test_new_terms_hold_for_a_question_whose_body_comes() -> None:
    """A tenant that was changed in between is the one that is charged."""
    balancer = ScriptedBalancer()
    gateway = gateway_of(balancer, ClientKeys.of(["good"], tenant="before"))
    request = http("POST", CHAT, QUESTION, authorization="Bearer good")
    assert gateway.admit(request) is None
    gateway.accept(ClientKeys.of(["good"], tenant="after"))
    assert (await gateway.handle(request)).status == 200
    assert balancer.asked[-1].tenant == "after"


async def test_a_key_that_expires_while_the_body_comes_is_refused() -> None:
    """Its time is looked at again, though it is not looked up."""
    now = [9.0]
    keys = Counting({digest("good"): Caller(key="k", expires=10.0)}, lambda: now[0])
    gateway = gateway_of(ScriptedBalancer(), keys)
    request = http("POST", CHAT, QUESTION, authorization="Bearer good")
    assert gateway.admit(request) is None
    now[0] = 10.0
    assert (await gateway.handle(request)).status == 401
    assert keys.looked == 1


async def test_whoever_is_known_without_a_key_is_asked_after_each_time() -> None:
    """A token may have run out, and a graph's leave may have ended, while the body came."""
    known: list[Caller | None] = [Caller(key="graph")]

    def beside(headers: Headers) -> Caller | None:
        return known[0]

    gateway = gateway_of(ScriptedBalancer(), ClientKeys({}, beside=beside))
    request = http("POST", CHAT, QUESTION)
    assert gateway.admit(request) is None
    known[0] = None
    assert (await gateway.handle(request)).status == 401
