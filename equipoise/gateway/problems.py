"""Everything that may go wrong, as clients are told: one JSON form, status, and when to come again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from equipoise.core.callers import ANYBODY
from equipoise.core.model import NanoUSD, dollars
from equipoise.gateway.dialects.base import Malformed, encode
from equipoise.gateway.headers import JSON, Fields, clean, dollars_field
from equipoise.http import Response

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer, Reply, Unanswered
    from equipoise.core.callers import Caller
    from equipoise.core.model import Request as Sized

MAX_MESSAGE = 2_000
GRAPHS_OWN = "This route is asked by a graph alone; its key is one whose `routes` name it."
TYPES = {429: "rate_limit_error", 401: "authentication_error", 403: "permission_error"}


class Problem(Exception):
    """A request that gets an error; `code` is a word for programs, `message` a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
        attempts: int = 0,
        cost: NanoUSD = 0,
        reasons: dict[str, str] | None = None,
        client_error: dict[str, Any] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.retry_after, self.should_retry = retry_after, should_retry
        self.attempts, self.cost, self.reasons = attempts, cost, reasons or {}
        self.client_error, self.headers = client_error, headers

    def told(self, request_id: str) -> dict[str, Any]:
        """The body, in OpenAI's form with our own fields beside it."""
        body: dict[str, Any] = {
            "error": self._error(),
            "request_id": request_id,
            "attempts": self.attempts,
            "cost_usd": dollars(self.cost),
        }
        return body | {"reasons": self.reasons} if self.reasons else body

    def _error(self) -> dict[str, Any]:
        """The upstream's own words where the fault is the caller's, reduced to the four fields clients know."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        own = {"message": self.message[:MAX_MESSAGE], "type": kind, "param": self.param, "code": self.code}
        theirs = self.client_error or {}
        return own | {name: _word(theirs[name]) for name in own if theirs.get(name) is not None}

    def fields(self, request_id: str) -> Fields:
        """The headers: what failed attempts cost is told here too."""
        fields = [JSON, (b"x-request-id", request_id.encode()), (b"x-equipoise-attempts", b"%d" % self.attempts)]
        fields.append((b"x-equipoise-cost-usd", dollars_field(self.cost)))
        if self.retry_after is not None and math.isfinite(self.retry_after):
            fields.append((b"retry-after", b"%d" % max(0, math.ceil(self.retry_after))))
            fields.append((b"retry-after-ms", b"%d" % max(0, math.ceil(self.retry_after * 1000))))
        if self.should_retry is not None:
            fields.append((b"x-should-retry", b"true" if self.should_retry else b"false"))
        return [*fields, *self.headers]


def _word(value: Any) -> str | None:
    return value[:MAX_MESSAGE] if isinstance(value, str) else str(value)[:MAX_MESSAGE]


def of_unanswered(error: Unanswered) -> Problem:
    """What the balancer could not do, with what its attempts cost."""
    return Problem(
        error.status,
        error.code,
        error.message,
        retry_after=error.retry_after,
        should_retry=error.should_retry,
        attempts=len(error.attempts),
        cost=error.cost,
        reasons=error.reasons,
        client_error=error.client_error,
    )


def of_malformed(error: Malformed) -> Problem:
    """A body or a header that cannot be read."""
    code = error.code or "invalid_request_error"
    return Problem(error.status, code, error.message, param=error.param, should_retry=False)


def unknown_path(path: str) -> Problem:
    """404 for a path nobody serves."""
    return Problem(404, "not_found", f"There is nothing at {clean(path).decode('latin-1')}.", should_retry=False)


def wrong_method(method: str, allowed: str) -> Problem:
    """405 with the methods that would do."""
    allow = ((b"allow", allowed.encode()),)
    said = clean(method).decode("latin-1")
    return Problem(
        405, "method_not_allowed", f"{said} is not allowed here, only {allowed}.", should_retry=False, headers=allow
    )


def wrong_key() -> Problem:
    """401: no key, or one that is not known; the same words for both."""
    message = "A valid key is needed: Authorization: Bearer <key>, or X-API-Key: <key>."
    return Problem(
        401,
        "invalid_api_key",
        message,
        should_retry=False,
        headers=((b"www-authenticate", b'Bearer realm="equipoise"'),),
    )


def expired_key() -> Problem:
    """401: a key that was good once; only its holder can have come this far."""
    problem = wrong_key()
    return Problem(401, problem.code, "This key has expired.", should_retry=False, headers=problem.headers)


def require_allowed(caller: Caller, request: Sized, balancer: LoadBalancer) -> None:
    """403 for a question that this key may not ask."""
    if caller.routes is None and caller is not ANYBODY and balancer.selection.graphs.owns(request.route):
        raise Problem(403, "route_not_allowed", GRAPHS_OWN, param="model", should_retry=False)
    if caller.routes is None and caller.strategies is None:
        return
    refused = caller.refusal(request, balancer.selection.routes)
    if refused is not None:
        raise Problem(403, refused[0], refused[1], param="model", should_retry=False)


def refusal(problem: Problem, request_id: str, write: Callable[[dict[str, Any]], bytes] = encode) -> Response:
    """The problem as a response in the dialect of `write`."""
    return Response(problem.status, problem.fields(request_id), write(problem.told(request_id)))


def unreadable(reply: Reply, error: Exception) -> Problem:
    """502: an upstream's body that was to be translated and cannot be; what it cost is still told."""
    message = f"The answer of {reply.backend_id} cannot be translated: {error}"
    return Problem(502, "upstream_error", message, attempts=len(reply.attempts), cost=reply.cost)
