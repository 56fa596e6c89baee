"""The real `openai` package as a client: only `base_url` differs from a program written for OpenAI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import openai
import pytest

from equipoise.core.attempts import Unanswered
from equipoise.core.model import Request
from equipoise.gateway import ClientKeys
from equipoise.http import Server
from equipoise.reply import Reply
from equipoise.sandbox import Faults
from tests.shell.gateway.scripted import CITED, ScriptedBalancer, gateway_of, reply_of
from tests.wire.gateway.fleet import BACKENDS, Fleet
from tests.wire.gateway.test_with_balancer import QUESTION

OPTIONS = {"graph_deep": {"mode": "naive"}, "web_search": {"search_recency_filter": "year"}, "general_llm": {"seed": 7}}
MESSAGES = [{"role": "user", "content": QUESTION}]


@pytest.fixture
async def client(fleet: Fleet) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{fleet.url}/v1", api_key="unused", max_retries=0) as one:
        yield one


@pytest.mark.parametrize("backend", BACKENDS)
async def test_a_completion_of_any_engine_is_a_completion(client: openai.AsyncOpenAI, backend: str):
    """Text, usage and our request id are where the package looks for them."""
    answer = await client.chat.completions.create(model=backend, messages=MESSAGES, extra_body=OPTIONS[backend])
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id is not None


async def test_sources_are_annotations(client: openai.AsyncOpenAI):
    """`message.annotations[].url_citation` marks the text; Perplexity's lists are extra fields."""
    answer = await client.chat.completions.create(model="web_search", messages=MESSAGES)
    message = answer.choices[0].message
    assert message.annotations
    span = message.annotations[0].url_citation
    assert (message.content or "")[span.start_index : span.end_index] == "[1]"
    assert span.url == (answer.model_extra or {})["citations"][0]


async def test_headers_are_readable(client: openai.AsyncOpenAI):
    """Who looks at raw responses finds backend and cost."""
    raw = await client.chat.completions.with_raw_response.create(model="general_llm", messages=MESSAGES)
    assert raw.headers["x-equipoise-backend"] == "general_llm"
    assert float(raw.headers["x-equipoise-cost-usd"]) > 0
    assert raw.parse().choices[0].message.content


async def test_the_synchronous_client_works_too(fleet: Fleet):
    """Whole and streamed, from a thread."""

    def talk() -> tuple[str, str]:
        with openai.OpenAI(base_url=f"{fleet.url}/v1", api_key="unused", max_retries=0) as one:
            whole = one.chat.completions.create(model="general_llm", messages=MESSAGES)
            chunks = one.chat.completions.create(model="general_llm", messages=MESSAGES, stream=True)
            streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            return whole.choices[0].message.content or "", streamed

    whole, streamed = await asyncio.to_thread(talk)
    assert whole == streamed != ""


@pytest.mark.parametrize("backend", BACKENDS)
async def test_every_chunk_has_a_choice_unless_usage_was_asked_for(client: openai.AsyncOpenAI, backend: str):
    """Programs that index `choices[0]` never fail; those that ask for usage get it last."""
    plain = await client.chat.completions.create(model=backend, messages=MESSAGES, stream=True)
    chunks = [chunk async for chunk in plain]
    assert all(chunk.choices for chunk in chunks)
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    with_usage = await client.chat.completions.create(
        model=backend, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    last = [chunk async for chunk in with_usage][-1]
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert (last.usage.model_extra or {})["cost"] > 0


@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_accumulating_helper_understands_our_chunks(client: openai.AsyncOpenAI, backend: str):
    """`chat.completions.stream` puts the whole completion together."""
    async with client.chat.completions.stream(model=backend, messages=MESSAGES) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("backend", ["graph_deep", "general_llm"])
async def test_a_cut_stream_raises(fleet: Fleet, client: openai.AsyncOpenAI, backend: str):
    """The package sees the error event; nobody mistakes half an answer for a whole one."""
    fleet.backends[backend].set_faults(Faults(cut_after_chunks=6))
    stream = await client.chat.completions.create(model=backend, messages=MESSAGES, stream=True)
    pieces = []
    with pytest.raises(openai.APIError, match="cut"):
        async for chunk in stream:
            pieces.append(chunk.choices[0].delta.content)
    assert pieces


async def test_errors_are_the_packages_own(fleet: Fleet, client: openai.AsyncOpenAI):
    """Each status becomes the exception a program expects, with our code."""
    with pytest.raises(openai.BadRequestError) as bad:
        await client.chat.completions.create(model="auto", messages=[])
    assert bad.value.param == "messages"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("gpt-9")
    assert missing.value.code == "model_not_found"
    fleet.break_all(error_rate=1.0)
    with pytest.raises(openai.InternalServerError) as down:
        await client.chat.completions.create(model="auto", messages=MESSAGES)
    assert down.value.request_id
    assert down.value.code in ("upstream_error", "no_healthy_backend")


async def test_models_are_listed(client: openai.AsyncOpenAI):
    """Routes, preferences, strategies and every backend by name."""
    names = {model.id async for model in client.models.list()}
    assert {"auto", "auto:cheap", "auto:fast", "auto:best", "cost_optimized", *BACKENDS} <= names


@pytest.mark.filterwarnings("ignore:Pydantic serializer")  # Perplexity's `search_results` items are unknown to OpenAI's
@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_responses_api_works(client: openai.AsyncOpenAI, backend: str):
    """Whole and streamed, of every engine."""
    answer = await client.responses.create(model=backend, input=QUESTION, instructions="Be brief.")
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    async with client.responses.stream(model=backend, input=QUESTION, instructions="Be brief.") as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == answer.output_text != ""
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")


class Reluctant(ScriptedBalancer):
    """Refuses the first question with a given code and answers the second."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    async def answer(self, request: Request) -> Reply:
        self.asked.append(request)
        if len(self.asked) == 1:
            raise Unanswered(self.code, "not now", retry_after=0.02)
        return reply_of(CITED, request.id)


@contextlib.asynccontextmanager
async def talking_to(balancer: ScriptedBalancer, keys: ClientKeys | None = None) -> AsyncIterator[openai.AsyncOpenAI]:
    gateway = gateway_of(balancer, keys)
    server = Server(gateway.handle, admit=gateway.admit)
    await server.start()
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="sk-a") as client:
        yield client
    await server.drain(0)


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "no_healthy_backend"])
async def test_the_package_comes_again_when_it_is_told_to(code: str):
    """`retry-after-ms` is obeyed and the second try succeeds."""
    balancer = Reluctant(code)
    async with talking_to(balancer) as client:
        answer = await client.chat.completions.create(model="auto", messages=MESSAGES)
    assert answer.choices[0].message.content == CITED.text
    assert len(balancer.asked) == 2


async def test_the_package_stays_away_when_retrying_is_useless():
    """`x-should-retry: false` keeps a spent budget from being asked again, although the status is 429."""
    balancer = Reluctant("budget_exceeded")
    async with talking_to(balancer) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="auto", messages=MESSAGES)
    assert len(balancer.asked) == 1


async def test_keys_are_sent_as_the_package_sends_them():
    """`api_key` is the client key; a wrong one is an AuthenticationError, not retried."""
    async with talking_to(ScriptedBalancer(), ClientKeys.of(["sk-a"])) as client:
        assert (await client.chat.completions.create(model="auto", messages=MESSAGES)).id
    async with talking_to(ScriptedBalancer(), ClientKeys.of(["sk-b"])) as client:
        with pytest.raises(openai.AuthenticationError) as refused:
            await client.chat.completions.create(model="auto", messages=MESSAGES)
    assert refused.value.code == "invalid_api_key"
