"""The operator's own code beside a question and its answer: to redact, enrich, export.

A hook runs in a thread of its own and has so long; one that raises, hangs or returns nonsense is counted and skipped, and
the request goes on as if there were none.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeVar

import msgspec

from equipoise.core.model import Answer, Question

T = TypeVar("T")
Result = Literal["ok", "changed", "error", "timeout", "busy", "nonsense"]
logger = logging.getLogger("equipoise.hooks")
MOST_AT_ONCE = 32
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class HookContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a hook may know besides: whose question it is, and after the answer who gave it and for how much."""

    request_id: str
    tenant: str
    model: str
    stream: bool
    backend_id: str | None = None
    cost: int = 0


class Hook(msgspec.Struct, frozen=True):
    """One function of the operator's: `function(value, context)`, plain or `async`; gives a changed value or None."""

    name: str
    function: Callable[[Any, HookContext], Any]
    seconds: float = 0.2


class Hooks:
    """Those before the question is asked, and those after it was answered, each in their order.

    `counts` says how often each came to what; `most` calls run at once, what comes beyond is skipped.
    """

    def __init__(self, before: Sequence[Hook] = (), after: Sequence[Hook] = (), most: int = MOST_AT_ONCE) -> None:
        self._before, self._after, self._most = tuple(before), tuple(after), most
        self.counts: Counter[tuple[str, Result]] = Counter()
        self._running, self._lock = 0, threading.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def asked(self, question: Question, context: HookContext) -> Question:
        """The question as the hooks leave it; where its messages changed, the client's own body says so too."""
        for hook in self._before:
            found = await self._called(hook, question, context, Question)
            question = found if found.body is not question.body else _with_body(found, question)
        return question

    async def answered(self, answer: Answer, context: HookContext) -> Answer:
        """The answer as the hooks leave it; a changed one is written anew instead of passed on as it came."""
        for hook in self._after:
            found = await self._called(hook, answer, context, Answer)
            answer = found if found is answer else msgspec.structs.replace(found, raw=None)
        return answer

    def passed_on(self, answer: Answer, context: HookContext) -> None:
        """A streamed answer is over: the hooks are told, and can no longer change it. Does not wait."""
        self._begin(self.answered(answer, context))

    def status(self) -> dict[str, dict[str, int]]:
        """Hook -> result -> how often."""
        found: dict[str, dict[str, int]] = {}
        for (name, result), count in self.counts.items():
            found.setdefault(name, {})[result] = count
        return found

    def _begin(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _called(self, hook: Hook, value: T, context: HookContext, kind: type[T]) -> T:
        """What the hook makes of it, or the same where it makes nothing of it. Raises nothing of the hook's."""
        if self._running >= self._most:
            return self._skipped(hook, "busy", value)
        running = asyncio.wrap_future(self._in_a_thread(hook, value, context))
        running.add_done_callback(_looked_at)
        done, _ = await asyncio.wait({running}, timeout=hook.seconds)
        if not done:
            return self._skipped(hook, "timeout", value)
        error = running.exception()
        if error is not None:
            return self._skipped(hook, "error", value, error)
        found = running.result()
        if found is None or found is value:
            self.counts[hook.name, "ok"] += 1
            return value
        if not isinstance(found, kind):
            return self._skipped(hook, "nonsense", value)
        self.counts[hook.name, "changed"] += 1
        return found

    def _in_a_thread(self, hook: Hook, value: Any, context: HookContext) -> Future[Any]:
        """A daemon thread, so that one that hangs does not keep the process from ending."""
        found: Future[Any] = Future()
        with self._lock:
            self._running += 1

        def work() -> None:
            try:
                found.set_result(_result(hook.function(value, context)))
            except BaseException as error:  # noqa: BLE001 - a stranger's code may raise anything; it is told as its result
                found.set_exception(error)
            finally:
                with self._lock:
                    self._running -= 1

        threading.Thread(target=work, name=f"hook {hook.name}", daemon=True).start()
        return found

    def _skipped(self, hook: Hook, why: Result, value: T, error: BaseException | None = None) -> T:
        """Counted always, logged the first time and every thousandth: a hook that is broken is so for every request."""
        self.counts[hook.name, why] += 1
        if self.counts[hook.name, why] % 1000 == 1:
            kind = type(error).__name__ if error else ""
            logger.warning("a hook was skipped", extra={"hook": hook.name, "why": why, "error": kind})
        return value


def _result(found: Any) -> Any:
    return asyncio.run(_awaited(found)) if inspect.isawaitable(found) else found


async def _awaited(found: Any) -> Any:
    return await found


def _looked_at(future: asyncio.Future[Any]) -> None:
    """What a hook raises after its time is over is nobody's any more."""
    if not future.cancelled():
        future.exception()


def _with_body(changed: Question, before: Question) -> Question:
    """A client's own body goes to OpenAI-compatible backends as it came: what a hook took out must not stay in there."""
    if changed is before or changed.body is None or changed.messages == before.messages:
        return changed
    fields = _fields.decode(changed.body)
    fields["messages"] = msgspec.Raw(msgspec.json.encode(changed.messages))
    return msgspec.structs.replace(changed, body=msgspec.json.encode(fields))
