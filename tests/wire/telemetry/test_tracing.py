"""Spans reach a collector over OTLP; the client's trace goes on at the upstream; what is not sampled costs nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from equipoise.core.events import AttemptEnded
from equipoise.core.model import Verdict
from equipoise.telemetry import genai
from equipoise.telemetry.tracing import MOST_OPEN, Tracing, exporter_to
from tests.shell.stores.attempts import attempt
from tests.shell.telemetry.test_prometheus import ended
from tests.wire.telemetry.test_pushing import Taker

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = ((b"traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01".encode()), (b"tracestate", b"a=1"))
UNSAMPLED = ((b"traceparent", f"00-{TRACE_ID}-{SPAN_ID}-00".encode()),)


@pytest.fixture
async def collector() -> AsyncIterator[Taker]:
    it = Taker()
    await it.server.start("127.0.0.1", 0)
    yield it
    await it.server.drain(0)


async def spans(collector: Taker, tracing: Tracing) -> list[Any]:
    """What arrived, once all is sent."""
    await asyncio.to_thread(tracing.close)
    requests = [ExportTraceServiceRequest.FromString(got.body) for got in collector.got]
    return [
        span
        for request in requests
        for of in request.resource_spans
        for scope in of.scope_spans
        for span in scope.spans
    ]


def attributes(span: Any) -> dict[str, Any]:
    return {of.key: getattr(of.value, of.value.WhichOneof("value")) for of in span.attributes}


def traced(collector: Taker, **options: Any) -> Tracing:
    exporter = exporter_to(f"{collector.url}/v1/traces", {"x-team": "mine"})
    return Tracing(exporter, chance=random.Random(1), wall=lambda: 1_790_000_010.0, **options)


async def test_a_sampled_question_is_a_span_with_one_below_for_each_attempt(collector: Taker) -> None:
    """Below the client's span; the upstream is told ours; times, models, tokens, verdicts."""
    tracing = traced(collector)
    passed_on = dict(tracing.begin(SAMPLED, "r"))
    failed = msgspec.structs.replace(attempt("r").outcome, verdict=Verdict.FAILURE, error_code="upstream_timeout")
    tracing.observe(AttemptEnded(msgspec.structs.replace(attempt("r"), outcome=failed)))
    tracing.observe(AttemptEnded(msgspec.structs.replace(attempt("r"), number=2, backend_id="papers")))
    tracing.observe(ended(request_id="r", attempts=2, duration=2.5))
    found = {span.name: span for span in await spans(collector, tracing)}
    server = found[genai.CHAT]
    assert server.trace_id.hex() == TRACE_ID
    assert server.parent_span_id.hex() == SPAN_ID
    assert passed_on[b"traceparent"].decode() == f"00-{TRACE_ID}-{server.span_id.hex()}-01"
    assert passed_on[b"tracestate"] == b"a=1"
    assert (server.end_time_unix_nano - server.start_time_unix_nano) / 1e9 == pytest.approx(2.5)
    below = [span for span in await spans(collector, tracing) if span.parent_span_id == server.span_id]
    assert len(below) == 2
    said = attributes(below[0])
    assert said[genai.ERROR] == "upstream_timeout"
    assert (said[genai.INPUT_TOKENS], said[genai.OUTPUT_TOKENS]) == (1000, 100)
    assert collector.got[0].headers[b"x-team"] == b"mine"
    assert collector.got[0].path == "/v1/traces"


async def test_no_word_of_a_question_is_in_a_span(collector: Taker) -> None:
    """Names are the conventions' and ours; a new one is decided, not slipped in."""
    tracing = traced(collector)
    tracing.begin(SAMPLED, "r")
    tracing.observe(AttemptEnded(attempt("r", error="evil words")))
    tracing.observe(ended(request_id="r", tenant="evil-tenant"))
    found = await spans(collector, tracing)
    known = {value for name, value in vars(genai).items() if name.isupper() and isinstance(value, str)}
    assert {key for span in found for key in attributes(span)} <= known
    assert not any(b"evil" in got.body for got in collector.got)


async def test_what_the_client_does_not_sample_is_not_and_passes_through(collector: Taker) -> None:
    """Unchanged, byte for byte; nor what means nothing, such as a version ff or ids of zeros."""
    tracing = traced(collector, sample_ratio=0.0)
    broken = [b"00-0-0-01", b"ff-" + SAMPLED[0][1][3:], f"00-{'0' * 32}-{SPAN_ID}-01".encode(), b"nonsense"]
    for trace in (UNSAMPLED, (), *(((b"traceparent", text),) for text in broken)):
        assert tracing.begin(trace, "r") is trace
    tracing.observe(ended(request_id="r"))
    assert await spans(collector, tracing) == []


async def test_where_no_client_decides_a_share_is_sampled(collector: Taker) -> None:
    """A new trace each; memory is bounded should questions never end."""
    tracing = traced(collector, sample_ratio=0.25)
    begun = [tracing.begin((), f"r{number}") for number in range(2000)]
    sampled = [dict(trace)[b"traceparent"] for trace in begun if trace]
    assert 400 < len(sampled) < 600
    assert len(set(sampled)) == len(sampled)
    for number in range(5 * MOST_OPEN):
        tracing.begin((), f"s{number}")
    assert len(tracing._open) == MOST_OPEN
    await asyncio.to_thread(tracing.close)


def test_the_names_are_those_of_the_conventions() -> None:
    """A snapshot: they are still in development, and dashboards hang on them."""
    assert {value for name, value in vars(genai).items() if name.isupper() and str(value).startswith("gen_ai.")} == {
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "gen_ai.response.finish_reasons",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.response.time_to_first_chunk",
    }
