"""The operator's code changes what it may, and whatever it does no request is lost by it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import msgspec
import pytest

from equipoise.core.model import Answer, Message, Question
from equipoise.gateway.beside import Beside
from equipoise.telemetry.hooks import Hook, HookContext, Hooks
from tests.patience import until
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, gateway_of, http, whole

CONTEXT = HookContext(request_id="r", tenant="t", model="auto", stream=False)
BODY = json.dumps({"messages": [{"role": "user", "content": "I am Ann, 555-1234"}], "made_up": 7}).encode()


def question(text: str = "I am Ann, 555-1234", body: bytes | None = BODY) -> Question:
    return Question(messages=[Message("user", text)], body=body)


def redacting(asked: Question, context: HookContext) -> Question:
    messages = [Message(m.role, str(m.content).replace("555-1234", "[phone]")) for m in asked.messages]
    return msgspec.structs.replace(asked, messages=messages)


async def redacting_slowly(asked: Question, context: HookContext) -> Question:
    await asyncio.sleep(0.001)
    return redacting(asked, context)


def raising(value: Any, context: HookContext) -> Any:
    raise KeyError("what a hook may raise")


def leaving(value: Any, context: HookContext) -> Any:
    raise SystemExit(3)


def nonsense(value: Any, context: HookContext) -> Any:
    return 42


def nothing(value: Any, context: HookContext) -> None:
    return None


@pytest.mark.parametrize("function", [redacting, redacting_slowly])
async def test_a_question_is_changed_also_in_the_body_that_goes_out(function: Any) -> None:
    """What was taken out stays in nowhere; fields that only the upstream knows stay."""
    hooks = Hooks([Hook("mine:redact", function, 2.0)])
    changed = await hooks.asked(question(), CONTEXT)
    assert changed.text == "I am Ann, [phone]"
    body = json.loads(changed.body or b"")
    assert body == {"messages": [{"role": "user", "content": "I am Ann, [phone]"}], "made_up": 7}
    assert hooks.status() == {"mine:redact": {"changed": 1}}


@pytest.mark.parametrize(
    ("function", "result"), [(raising, "error"), (leaving, "error"), (nonsense, "nonsense"), (nothing, "ok")]
)
async def test_a_hook_that_fails_is_counted_and_skipped(function: Any, result: str) -> None:
    """The next one is called all the same."""
    hooks = Hooks([Hook("bad", function, 2.0), Hook("good", redacting, 2.0)])
    changed = await hooks.asked(question(), CONTEXT)
    assert changed.text == "I am Ann, [phone]"
    assert hooks.status() == {"bad": {result: 1}, "good": {"changed": 1}}


async def test_a_hook_that_hangs_costs_its_time_and_no_more() -> None:
    """Then, with all places taken, not even that; once free again, it is called again."""
    released = threading.Event()
    hooks = Hooks([Hook("hangs", lambda value, context: released.wait(10), 0.02)], most=2)
    asked = question()
    for _ in range(4):
        assert await hooks.asked(asked, CONTEXT) is asked
    assert hooks.status() == {"hangs": {"timeout": 2, "busy": 2}}
    released.set()
    await until(lambda: not hooks._running)
    hooks._before = (msgspec.structs.replace(hooks._before[0], seconds=30.0),)
    await hooks.asked(asked, CONTEXT)
    assert hooks.counts["hangs", "nonsense"] == 1


async def test_a_hook_that_blocks_does_not_hold_up_others() -> None:
    """It waits in its own thread; the loop turns on."""
    released = threading.Event()
    hooks = Hooks([Hook("blocks", lambda value, context: released.wait(30), 60.0)])
    turned = 0

    async def turning() -> None:
        nonlocal turned
        while True:
            turned += 1
            if turned > 10:
                released.set()
            await asyncio.sleep(0.005)

    task = asyncio.create_task(turning())
    await hooks.asked(question(), CONTEXT)
    task.cancel()
    assert released.is_set()


async def test_a_changed_answer_is_written_anew() -> None:
    """The upstream's own bytes hold what the hook took out."""
    hooks = Hooks(after=[Hook("h", lambda of, context: msgspec.structs.replace(of, text="[gone]"), 2.0)])
    changed = await hooks.answered(Answer(text="secret", raw=b'{"secret": 1}'), CONTEXT)
    assert (changed.text, changed.raw) == ("[gone]", None)
    kept = Answer(text="plain", raw=b"{}")
    assert await Hooks(after=[Hook("h", nothing, 2.0)]).answered(kept, CONTEXT) is kept


async def test_the_gateway_asks_and_answers_by_way_of_the_hooks() -> None:
    """Before the question is asked, and before the answer is written; the context says whose it is."""
    seen: list[HookContext] = []

    def enrich(answer: Answer, context: HookContext) -> Answer:
        seen.append(context)
        return msgspec.structs.replace(answer, text=answer.text + " (checked)")

    balancer = ScriptedBalancer()
    hooks = Hooks([Hook("r", redacting, 2.0)], [Hook("e", enrich, 2.0)])
    gateway = gateway_of(balancer, beside=Beside(hooks, None))
    response = await gateway.handle(http("POST", "/v1/chat/completions", BODY, x_request_id="req-7"))
    said = json.loads(await whole(response))["choices"][0]["message"]["content"]
    assert balancer.asked[0].question.text == "I am Ann, [phone]"
    assert said == CITED.text + " (checked)"
    assert (seen[0].request_id, seen[0].backend_id, seen[0].cost) == ("req-7", "graph-a", 1_234_567)


async def test_whatever_hooks_do_the_answer_is_given() -> None:
    """All of them broken: a 200 with the answer as it was."""
    broken = [Hook("a", raising, 0.5), Hook("b", nonsense, 0.5), Hook("c", lambda v, c: time.sleep(5), 0.01)]
    gateway = gateway_of(ScriptedBalancer(), beside=Beside(Hooks(broken, broken), None))
    response = await gateway.handle(http("POST", "/v1/chat/completions", BODY))
    assert response.status == 200
    assert json.loads(await whole(response))["choices"][0]["message"]["content"] == CITED.text
