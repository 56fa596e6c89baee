"""What observers are told when a question has left the gateway, however it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from equipoise.core.events import RequestEnded
from equipoise.gateway.problems import Problem
from equipoise.http import Response

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Reply
    from equipoise.core.model import Request as Sized
    from equipoise.gateway.given import GivenStream

CLIENT_GONE = 499  # no such status is ever sent: a word of nginx's for logs


def of_reply(sized: Sized, reply: Reply, started: float, cache: str = "") -> RequestEnded:
    """A whole answer was given."""
    duration, decision = time.perf_counter() - started, reply.decision
    overhead = duration - (reply.duration - reply.overhead)
    return RequestEnded(  # by position: names cost as much as all the rest
        sized.id,
        sized.route,
        sized.tenant,
        200,
        duration,
        len(reply.attempts),
        reply.cost,
        decision.backend_id,
        False,
        None,
        False,
        overhead if overhead > 0.0 else 0.0,
        cache,
    )


def of_problem(
    sized: Sized | None, request_id: str, tenant: str, problem: Problem, started: float, cache: str = ""
) -> RequestEnded:
    """An error was given; without a sized question its route was never known."""
    return RequestEnded(
        request_id=request_id,
        route=sized.route if sized is not None else "",
        tenant=tenant,
        status=problem.status,
        duration=time.perf_counter() - started,
        attempts=problem.attempts,
        cost=problem.cost,
        backend_id=None,
        stream=sized is not None and sized.question.stream,
        error_code=problem.code,
        cache=cache,
    )


def of_repeat(request_id: str, tenant: str, response: Response, started: float) -> RequestEnded:
    """An answer was given again: nobody was asked and nothing charged."""
    return RequestEnded(
        request_id=request_id,
        route="",
        tenant=tenant,
        status=response.status,
        duration=time.perf_counter() - started,
        attempts=0,
        cost=0,
        backend_id=None,
        stream=not isinstance(response.body, bytes),
    )


def of_stream(
    sized: Sized, stream: AnswerStream | GivenStream, problem: Problem | None, started: float, cache: str = ""
) -> RequestEnded:
    """A stream is over: whole, cut by its upstream, or left by its client."""
    attempts = stream.attempts
    return RequestEnded(
        request_id=sized.id,
        route=sized.route,
        tenant=sized.tenant,
        status=CLIENT_GONE if problem is not None and problem.status == CLIENT_GONE else 200,
        duration=time.perf_counter() - started,
        attempts=len(attempts),
        cost=sum(attempt.cost for attempt in attempts),
        backend_id=stream.backend_id,
        stream=True,
        error_code=problem.code if problem is not None else None,
        interrupted=problem is not None and problem.status != CLIENT_GONE,
        cache=cache,
    )


def client_gone() -> Problem:
    """The client hung up."""
    return Problem(CLIENT_GONE, "cancelled", "The client went away.")
