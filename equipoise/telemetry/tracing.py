"""Spans of the questions that are sampled, made when they are over; all others cost a look at a header.

The client's trace context is passed on in any case. Where a question is sampled, what the upstream gets names our span as
its parent, so that the upstream's own spans hang below it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec
from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

import equipoise
from equipoise.core.events import AttemptEnded, Event, RequestEnded, hears
from equipoise.core.model import Attempt, Verdict, dollars
from equipoise.telemetry import genai

Trace: TypeAlias = tuple[tuple[bytes, bytes], ...]
PARENT = b"traceparent"
MOST_OPEN, MOST_ATTEMPTS = 10_000, 32
NANO = 1_000_000_000
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class Traced(msgspec.Struct):
    """A sampled question under way: the ids of its trace, its own span and its parent's (0: none)."""

    trace_id: int
    span_id: int
    parent_id: int
    attempts: list[Attempt] = []


class _Prepared(IdGenerator):
    """Gives the next span the ids that were already told to an upstream."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.trace_id, self.span_id = chance, 0, 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        given, self.span_id = self.span_id, 0
        return given or self.chance.getrandbits(64) or 1


class Tracing:
    """Told when a question begins (`begin`) and of its events. `sample_ratio` counts where no parent decides."""

    def __init__(
        self,
        exporter: Any,
        *,
        sample_ratio: float = 0.1,
        service: str = "equipoise",
        chance: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._ratio, self._chance, self._wall = sample_ratio, chance or random.SystemRandom(), wall
        self._open: dict[str, Traced] = {}
        self._ids = _Prepared(self._chance)
        resource = Resource.create({"service.name": service, "service.version": equipoise.__version__})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, id_generator=self._ids)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("equipoise", equipoise.__version__)

    def begin(self, trace: Trace, request_id: str) -> Trace:
        """Decide whether this question is sampled; gives the trace context for its upstream."""
        parent = _parent_of(trace)
        sampled = self._chance.random() < self._ratio if parent is None else bool(parent[2] & 1)
        if not sampled or len(self._open) >= MOST_OPEN or request_id in self._open:
            return trace
        trace_id, parent_id = (self._chance.getrandbits(128) or 1, 0) if parent is None else parent[:2]
        traced = self._open[request_id] = Traced(trace_id, self._chance.getrandbits(64) or 1, parent_id, [])
        ours = f"00-{trace_id:032x}-{traced.span_id:016x}-01".encode()
        return ((PARENT, ours), *(field for field in trace if field[0] != PARENT))

    @hears(AttemptEnded, RequestEnded)
    def observe(self, event: Event) -> None:
        """Take in attempts and ends of sampled questions."""
        if not self._open:
            return
        if isinstance(event, AttemptEnded):
            traced = self._open.get(event.attempt.request_id)
            if traced is not None and len(traced.attempts) < MOST_ATTEMPTS:
                traced.attempts.append(event.attempt)
        elif isinstance(event, RequestEnded):
            traced = self._open.pop(event.request_id, None)
            if traced is not None:
                self._told(traced, event)

    def close(self) -> None:
        """Send what waits; blocks meanwhile."""
        self._provider.shutdown()

    def _told(self, traced: Traced, ended: RequestEnded) -> None:
        end = int(self._wall() * NANO)
        self._ids.trace_id, self._ids.span_id = traced.trace_id, traced.span_id
        span = self._tracer.start_span(
            genai.CHAT,
            context=_below(traced.trace_id, traced.parent_id) if traced.parent_id else None,
            kind=SpanKind.SERVER,
            attributes=_of_request(ended),
            start_time=end - int(ended.duration * NANO),
        )
        if ended.status >= 500:
            span.set_status(Status(StatusCode.ERROR, ended.error_code))
        for attempt in traced.attempts:
            self._attempt(attempt, otel.set_span_in_context(span))
        span.end(end)

    def _attempt(self, attempt: Attempt, context: Any) -> None:
        outcome, end = attempt.outcome, int(attempt.wall * NANO)
        model = attempt.model or attempt.backend_id
        span = self._tracer.start_span(
            f"{genai.CHAT} {model}",
            context=context,
            kind=SpanKind.CLIENT,
            attributes=_of_attempt(attempt),
            start_time=end - int(outcome.duration * NANO),
        )
        if outcome.verdict is not Verdict.SUCCESS:
            span.set_status(Status(StatusCode.ERROR, outcome.error_code))
        span.end(end)


def exporter_to(endpoint: str | None, headers: dict[str, str]) -> OTLPSpanExporter:
    """OTLP over HTTP; what is not said here the environment says (OTEL_EXPORTER_OTLP_...)."""
    return OTLPSpanExporter(endpoint=endpoint, headers=headers or None)


def _parent_of(trace: Trace) -> tuple[int, int, int] | None:
    """Trace, span and flags of a traceparent header; None where there is none that means something (W3C, 3.2.2)."""
    found = _TRACEPARENT.fullmatch(dict(trace).get(PARENT, b""))
    if found is None or found[1] == b"ff":
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups()[1:])
    return (trace_id, span_id, flags) if trace_id and span_id else None


def _below(trace_id: int, span_id: int) -> Any:
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return otel.set_span_in_context(NonRecordingSpan(context))


def _of_request(ended: RequestEnded) -> dict[str, Any]:
    said = {
        genai.OPERATION: genai.CHAT,
        genai.STATUS: ended.status,
        genai.ROUTE: ended.route,
        genai.BACKEND: ended.backend_id,
        genai.ATTEMPTS: ended.attempts,
        genai.COST: dollars(ended.cost),
        genai.REQUEST_ID: ended.request_id,
        genai.ERROR: ended.error_code,
    }
    return {name: value for name, value in said.items() if value is not None}


def _of_attempt(attempt: Attempt) -> dict[str, Any]:
    outcome = attempt.outcome
    said = {
        genai.OPERATION: genai.CHAT,
        genai.PROVIDER: genai.PROVIDERS.get(attempt.backend_type, attempt.backend_type),
        genai.REQUEST_MODEL: attempt.model or None,
        genai.RESPONSE_MODEL: outcome.model or None,
        genai.FINISH_REASONS: [outcome.finish_reason] if outcome.finish_reason else None,
        genai.INPUT_TOKENS: outcome.usage.input_tokens,
        genai.OUTPUT_TOKENS: outcome.usage.output_tokens,
        genai.FIRST_CHUNK: outcome.first_token,
        genai.ERROR: outcome.error_code,
        genai.STATUS: outcome.status,
        genai.BACKEND: attempt.backend_id,
        genai.STRATEGY: attempt.decision.strategy,
        genai.VERDICT: outcome.verdict.value,
        genai.ATTEMPT: attempt.number,
        genai.COST: dollars(outcome.cost),
        genai.COST_SOURCE: outcome.cost_source.value,
    }
    return {name: value for name, value in said.items() if value is not None}
