"""What the request path promises: failover, bookkeeping, and streams that never lie."""

from __future__ import annotations

import asyncio

import pytest

from equipoise.backends.base import BackendError, Finished, TextDelta
from equipoise.balancer import Interrupted, Unanswered
from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import CostSource, Usage, Verdict
from equipoise.core.retry import RetryOptions
from tests.fakes import FakeClock, ScriptedClient, answer, attempts_of, balancer, request

DOWN = BackendError(Verdict.FAILURE, "connection refused", sent=False)
BROKEN = BackendError(Verdict.FAILURE, "internal error", status=500)
LOST = BackendError(Verdict.FAILURE, "the connection broke", code="upstream_error")
EMPTY = BackendError(Verdict.NO_ANSWER, "found no context", status=200, code="no_answer")
BUSY = BackendError(Verdict.THROTTLED, "slow down", status=429, retry_after=7.0)


async def test_an_answer_comes_with_its_bill_and_its_reason() -> None:
    """30 tokens at one dollar per million are 30,000 nano-dollars, priced; and the reason is there."""
    it, events = balancer({"a": ScriptedClient(answer("yes"))})
    reply = await it.ask("Is it?")
    assert (reply.text, reply.backend_id, reply.cost, reply.cost_source) == ("yes", "a", 30_000, CostSource.PRICED)
    assert reply.cost_usd == "0.000030000"
    assert reply.reason
    (attempt,) = attempts_of(events)
    assert attempt.outcome.cost == reply.cost
    assert it.in_flight == 0


@pytest.mark.parametrize("error", [DOWN, BROKEN, LOST, EMPTY, BUSY])
async def test_while_one_backend_lives_the_question_is_answered(error: BackendError) -> None:
    """Whatever goes wrong with the first, the second is asked at once; both attempts are on the books."""
    it, events = balancer({"a": ScriptedClient(error), "b": ScriptedClient(answer())})
    reply = await it.answer(request())
    assert [attempt.backend_id for attempt in reply.attempts] == ["a", "b"]
    assert reply.fallback_from == "a"
    assert reply.cost == sum(attempt.outcome.cost for attempt in attempts_of(events))
    assert [attempt.number for attempt in attempts_of(events)] == [1, 2]


async def test_backends_that_refuse_connections_never_use_up_the_attempts() -> None:
    """Nine dead ones and one alive: an attempt that was never sent costs no part of the attempt budget."""
    clients = {f"dead{i}": ScriptedClient(DOWN) for i in range(9)} | {"zalive": ScriptedClient(answer())}
    it, _ = balancer(clients, retry=RetryOptions(max_attempts=1, burst=0.0, share=0.0, floor_per_second=0.0))
    for _ in range(20):
        assert (await it.answer(request())).backend_id == "zalive"


async def test_a_lost_connection_is_booked_as_possible_cost() -> None:
    """The upstream may have billed the question: its input is booked, marked estimated."""
    it, events = balancer({"a": ScriptedClient(LOST), "b": ScriptedClient(answer())})
    reply = await it.answer(request(input_tokens=10))
    assert attempts_of(events)[0].outcome.cost == 10_000
    assert reply.cost == 40_000
    assert reply.cost_source is CostSource.ESTIMATED


async def test_what_the_upstream_metered_wins() -> None:
    """usage.cost.total_cost is the truth, whatever the price list says."""
    it, _ = balancer({"a": ScriptedClient(answer(metered_cost=123))})
    reply = await it.answer(request())
    assert (reply.cost, reply.cost_source) == (123, CostSource.METERED)


async def test_a_callers_mistake_goes_back_to_him_and_nowhere_else() -> None:
    """A 400 about the question is told with the upstream's own words; nobody else is bothered with it."""
    words = {"message": "temperature must be at most 2", "type": "invalid_request_error"}
    mistake = BackendError(Verdict.IGNORED, "bad request", status=400, client_error=words)
    other = ScriptedClient(answer())
    it, _ = balancer({"a": ScriptedClient(mistake), "b": other})
    with pytest.raises(Unanswered) as caught:
        await it.answer(request())
    assert (caught.value.code, caught.value.status) == ("invalid_request_error", 400)
    assert caught.value.client_error == words
    assert not other.asked


async def test_an_overflow_goes_to_a_longer_context() -> None:
    """Context overflow skips those with no longer a context and asks the longer one."""
    overflow = BackendError(Verdict.IGNORED, "too long", status=400, code="context_length_exceeded")
    short = ScriptedClient(answer())
    it, _ = balancer(
        {"a": ScriptedClient(overflow), "b": short, "c": ScriptedClient(answer())},
        options={"a": {"context_tokens": 4000}, "b": {"context_tokens": 4000}, "c": {"context_tokens": 32_000}},
    )
    assert (await it.answer(request())).backend_id == "c"
    assert not short.asked


async def test_an_overflow_everywhere_is_the_callers_to_mend() -> None:
    """With no longer context left, the error is context_length_exceeded, not an outage."""
    overflow = BackendError(Verdict.IGNORED, "too long", status=400, code="context_length_exceeded")
    it, _ = balancer({"a": ScriptedClient(overflow)})
    with pytest.raises(Unanswered) as caught:
        await it.answer(request())
    assert (caught.value.code, caught.value.should_retry) == ("context_length_exceeded", False)


async def test_no_answer_from_anybody_is_said_and_not_worth_repeating() -> None:
    """A 200 that answers nothing is never delivered as a success."""
    it, _ = balancer({"a": ScriptedClient(EMPTY), "b": ScriptedClient(EMPTY)})
    with pytest.raises(Unanswered) as caught:
        await it.answer(request())
    assert (caught.value.code, caught.value.should_retry) == ("no_answer", False)
    assert len(caught.value.attempts) == 2


async def test_when_all_failed_once_all_are_tried_once_more() -> None:
    """A hiccup of the only backend is survived after a backoff."""
    it, _ = balancer({"a": ScriptedClient(BROKEN, answer())})
    assert len((await it.answer(request())).attempts) == 2


@pytest.mark.parametrize("first", ["a", "b"])
async def test_a_hiccup_is_survived_where_the_others_know_nothing(first: str) -> None:
    """In whichever order they were asked; and who answered nothing is not paid for saying so again."""
    hiccup, empty = ScriptedClient(BROKEN, answer()), ScriptedClient(EMPTY)
    second = "b" if first == "a" else "a"
    it, _ = balancer({first: hiccup, second: empty})
    assert (await it.answer(request())).backend_id == first
    assert len(empty.asked) == 1


async def test_what_may_pass_is_told_before_what_will_not() -> None:
    """One is broken, the other knows nothing: coming again is worth while."""
    it, _ = balancer({"a": ScriptedClient(BROKEN), "b": ScriptedClient(EMPTY)})
    with pytest.raises(Unanswered) as caught:
        await it.answer(request())
    assert (caught.value.code, caught.value.should_retry) == ("upstream_error", True)


async def test_a_question_with_tools_is_not_asked_twice_after_a_lost_connection() -> None:
    """Who may have acted already is not asked again; a refused connection still fails over."""
    other = ScriptedClient(answer())
    it, _ = balancer({"a": ScriptedClient(LOST), "b": other})
    with pytest.raises(Unanswered):
        await it.answer(request(repeatable=False))
    assert not other.asked
    it, _ = balancer({"a": ScriptedClient(DOWN), "b": other})
    assert (await it.answer(request(repeatable=False))).backend_id == "b"


async def test_in_a_brown_out_the_gateway_hardly_adds_to_the_load() -> None:
    """Everything fails: 1,000 requests at 50 a second send at most 1.2 attempts each, beyond the burst."""
    clock = FakeClock()
    clients = {name: ScriptedClient(BROKEN) for name in "abc"}
    never = {name: {"breaker": BreakerOptions(enabled=False)} for name in clients}
    it, _ = balancer(clients, clock=clock, options=never)
    for _ in range(1000):
        clock.now += 0.02
        with pytest.raises(Unanswered):
            await it.answer(request(deadline=clock.now + 100))
    sent = sum(len(client.asked) for client in clients.values())
    assert sent <= 1.2 * 1000 + 10 + 20


async def test_a_deadline_bounds_every_attempt() -> None:
    """No attempt is given more seconds than the request has left."""
    clock, client = FakeClock(), ScriptedClient(answer())
    it, _ = balancer({"a": client}, clock=clock)
    await it.answer(request(deadline=clock.now + 2.5))
    assert client.timeouts == [2.5]


async def test_a_cancelled_question_is_settled_and_says_nothing_about_the_backend() -> None:
    """Being cancelled has a verdict of its own, and its possible cost is booked."""

    class Hanging(ScriptedClient):
        async def send(self, request, timeout):  # type: ignore[no-untyped-def]
            await asyncio.sleep(3600)

    it, events = balancer({"a": Hanging(answer())})
    task = asyncio.create_task(it.answer(request()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (attempt,) = attempts_of(events)
    assert attempt.outcome.verdict is Verdict.IGNORED
    assert attempt.outcome.cost == 10_000
    assert it.selection.backends["a"].load.in_flight == it.in_flight == 0


async def test_a_stream_fails_over_until_its_first_item() -> None:
    """The caller sees one whole answer, and who should have given it."""
    it, events = balancer({"a": ScriptedClient(BROKEN), "b": ScriptedClient(answer())})
    stream = await it.open(request())
    assert [piece async for piece in stream] == ["a ", "b"]
    assert stream.reply is not None
    assert stream.reply.fallback_from == "a"
    assert [attempt.outcome.verdict for attempt in attempts_of(events)] == [Verdict.FAILURE, Verdict.SUCCESS]


async def test_a_cut_stream_ends_in_an_error_and_its_part_is_billed() -> None:
    """After the first item there is no failover: Interrupted, with the cost of what was passed on."""
    cut = ScriptedClient(answer(), pieces=("one ", "two "), cut=LOST)
    it, events = balancer({"a": cut, "b": ScriptedClient(answer())})
    stream = await it.open(request())
    pieces = []
    with pytest.raises(Interrupted) as caught:
        async for piece in stream:
            pieces.append(piece)
    assert pieces == ["one ", "two "]
    (attempt,) = attempts_of(events)
    assert attempt.outcome.interrupted
    assert attempt.outcome.usage == Usage(input_tokens=10, output_tokens=4, estimated=True)
    assert caught.value.cost == attempt.outcome.cost == 14_000
    assert it.in_flight == 0


@pytest.mark.parametrize("taken", [0, 1, 2])
async def test_whoever_stops_a_stream_early_closes_its_upstream(taken: int) -> None:
    """Even a stream of which nothing was ever taken is settled and closed."""
    client = ScriptedClient(answer(), pieces=("a", "b", "c", "d"))
    it, events = balancer({"a": client})
    items = (await it.open(request())).items()
    for _ in range(taken):
        assert isinstance(await anext(items), TextDelta)
    await items.aclose()  # type: ignore[attr-defined]
    assert client.closed_streams == 1
    (attempt,) = attempts_of(events)
    assert attempt.outcome.verdict is Verdict.IGNORED
    assert it.selection.backends["a"].load.in_flight == it.in_flight == 0


async def test_a_stream_without_its_end_is_no_clean_end() -> None:
    """An upstream generator that just stops raises Interrupted."""

    class Endless(ScriptedClient):
        async def stream(self, request, timeout):  # type: ignore[no-untyped-def]
            yield TextDelta("half")

    it, _ = balancer({"a": Endless(answer())})
    with pytest.raises(Interrupted):
        _ = [item async for item in (await it.open(request())).items()]


async def test_a_stream_that_never_begins_fails_over() -> None:
    """An upstream that ends before its first item is a failure like another."""

    class Silent(ScriptedClient):
        async def stream(self, request, timeout):  # type: ignore[no-untyped-def]
            return
            yield

    it, _ = balancer({"a": Silent(answer()), "b": ScriptedClient(answer())})
    items = [item async for item in (await it.open(request())).items()]
    assert isinstance(items[-1], Finished)


async def test_the_sum_told_is_the_sum_recorded() -> None:
    """Over many questions, streamed or not, failing or cut: what callers were told equals the records exactly."""
    clients = {
        "a": ScriptedClient(answer(), BROKEN, LOST, answer(metered_cost=7), EMPTY, answer()),
        "b": ScriptedClient(answer(), LOST, answer(), cut=LOST),
    }
    it, events = balancer(clients)
    told = 0
    for turn in range(40):
        try:
            if turn % 3:
                told += (await it.answer(request())).cost
            else:
                stream = await it.open(request())
                _ = [item async for item in stream.items()]
                assert stream.reply is not None
                told += stream.reply.cost
        except Unanswered as error:
            told += error.cost
    assert told == sum(attempt.outcome.cost for attempt in attempts_of(events))


def test_an_unknown_model_is_auto_with_a_warning() -> None:
    """Existing clients need no change."""
    it, _ = balancer({"a": ScriptedClient(answer())})
    from equipoise.balancer import Hints
    from equipoise.core.model import Message, Question

    asked, warning = it.request(Question(messages=[Message("user", "hi")]), Hints(model="gpt-nonsense"))
    assert asked.route == "auto"
    assert warning is not None
    assert "gpt-nonsense" in warning
    pinned, _ = it.request(Question(messages=[]), Hints(model="a"))
    assert pinned.pinned == "a"
    with pytest.raises(Unanswered, match="unknown strategy"):
        it.request(Question(messages=[]), Hints(strategy="dice"))
