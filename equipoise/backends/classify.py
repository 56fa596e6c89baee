"""Whose fault a failure is, judged by its content; every failure of an upstream becomes a BackendError here.

The caller's mistakes are no evidence against a backend; a refused key or quota is for the operator; "slow down" is not
illness; the rest counts against the backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from equipoise.backends.base import BackendError
from equipoise.backends.errors import SHOWN, ErrorBody, error_in, safe_text
from equipoise.backends.pauses import pause_asked
from equipoise.core.model import Usage, Verdict
from equipoise.http import HTTPError

ADDRESS: Final = re.compile(r"https?://[^\s/]+: ")
"""Where a backend listens, as HTTPError begins: clients read what becomes of it, and its operator knows it by its name."""
QUOTA: Final = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "enforced_spend_limit_reached",
        "spend_limit_reached",
        "quota_exceeded",
        "access_terminated",
    }
)
KEY: Final = frozenset(
    {"invalid_api_key", "authentication_error", "permission_error", "permission_denied", "account_deactivated"}
)
SLOW_DOWN: Final = frozenset(
    {"rate_limit_exceeded", "rate_limit_error", "rate_limit", "overloaded_error", "engine_overloaded", "slow_down"}
)
OVERFLOW: Final = frozenset(
    {
        "context_length_exceeded",
        "exceed_context_size_error",
        "request_too_large",
        "string_too_long",
        "string_above_max_length",
    }
)

# Upstreams repeat what a client wrote: words that would shut a backend out for everyone count only where they cannot be
# his, at the beginning of a 400's message, or in the answer to a status that his body does not cause.
_SPENT = re.compile(
    r"spend(?:ing)?[ _-]limit|out of credits|insufficient (?:credits|balance|funds)|exceeded your current quota"
)
_REFUSAL_IN_400 = re.compile(r"(?:api key not valid|invalid api key|incorrect api key|your credit balance is too low)")
_BUSY = re.compile(r"server busy|maximum pending requests|overloaded")
_TOO_LONG = re.compile(
    r"context (?:length|window|size)|maximum context|prompt is too long|too many (?:input )?tokens"
    r"|request text is \d+ characters|longer than the maximum|exceeds? (?:the )?(?:available|maximum) (?:context|tokens)"
)
_MODEL_CODES: Final = frozenset({"model_not_found", "invalid_model", "unknown_model"})
_NO_SUCH_MODEL = re.compile(
    r"invalid model|unknown model|no such model"
    r"|model\b[^.]{0,80}?(?:not found|does not exist|not exist|not available|not supported|try pulling|decommissioned|deprecated)"
)
_UNKNOWN_FIELD = re.compile(
    r"(?:unknown|unrecognized|unexpected|unsupported|extra|additional)\b.{0,40}?"
    r"(?:field|parameter|argument|input|propert|key)s?|extra_forbidden|extra inputs|unknown_parameter|unsupported_parameter"
)
_NAMED = re.compile(
    r"[`'\"]([A-Za-z_][\w.]{0,60})[`'\"]|(?:field|parameter|argument|property)s?[: ]+([A-Za-z_]\w{1,60})"
)


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Who said what in a request, so that a complaint about it reaches the right one.

    `own_model`: the operator named the model; `own_fields`: top-level fields set by us or the operator; `own_body`: no
    field is the client's but the conversation itself, so an unknown field cannot be his doing.
    """

    who: str = "the backend"
    own_model: bool = True
    own_body: bool = True
    own_fields: frozenset[str] = frozenset()
    secret: str = ""


def rejected(status: int, headers: Mapping[bytes, bytes], body: bytes, blame: Blame) -> BackendError:
    """The error for a response whose status is not a success."""
    return judged(error_in(body, blame.secret), status, headers, blame)


def reported(error: ErrorBody, blame: Blame, *, usage: Usage | None = None, cost: int | None = None) -> BackendError:
    """The error for one told inside a response that began as a success; its own words stand for the status."""
    return judged(error, error.status or _status_of(error), {}, blame, usage=usage, cost=cost)


def judged(
    error: ErrorBody,
    status: int,
    headers: Mapping[bytes, bytes],
    blame: Blame,
    *,
    usage: Usage | None = None,
    cost: int | None = None,
) -> BackendError:
    """Find the verdict for an error and everything the core wants to know about it."""
    verdict, code = _verdict(error, status, blame)
    said = f": {error.message[:SHOWN]}" if error.message else ""
    return BackendError(
        verdict,
        f"{blame.who} answered {status}{said}",
        code=code,
        status=status,
        retry_after=_pause(verdict, headers, error),
        usage=usage,
        metered_cost=cost,
        client_error=error.for_client(code) if verdict is Verdict.IGNORED else None,
        plain=f"{blame.who} answered {status} ({code})",
    )


def unreachable(error: HTTPError, blame: Blame, *, usage: Usage | None = None, cost: int | None = None) -> BackendError:
    """The error for an exchange that gave no whole response."""
    code = "upstream_timeout" if error.timed_out else "upstream_error"
    sent = error.maybe_processed
    text = f"{blame.who}: {ADDRESS.sub('', safe_text(str(error), blame.secret))[:SHOWN]}"
    return BackendError(Verdict.FAILURE, text, code=code, sent=sent, usage=usage, metered_cost=cost)


def malformed(
    what: str, blame: Blame, *, seen: str = "", usage: Usage | None = None, cost: int | None = None
) -> BackendError:
    """The error for a response that breaks its own protocol; `seen` is a piece of it, for the caller to see."""
    return _unusable(Verdict.FAILURE, "upstream_malformed", what, seen, blame, usage, cost)


def no_answer(
    what: str, blame: Blame, *, seen: str = "", usage: Usage | None = None, cost: int | None = None
) -> BackendError:
    """The error for a success that answers nothing; `seen` is a piece of it, for the caller to see."""
    return _unusable(Verdict.NO_ANSWER, "no_answer", what, seen, blame, usage, cost)


def _unusable(
    verdict: Verdict, code: str, what: str, seen: str, blame: Blame, usage: Usage | None, cost: int | None
) -> BackendError:
    shown = f"{what}: {seen!r}" if seen else what
    text, plain = (f"{blame.who}: {safe_text(each, blame.secret)[:SHOWN]}" for each in (shown, what))
    return BackendError(verdict, text, code=code, status=200, usage=usage, metered_cost=cost, plain=plain)


def _verdict(error: ErrorBody, status: int, blame: Blame) -> tuple[Verdict, str]:
    for judge in (_refused, _throttled, _callers_fault):
        if found := judge(error, status, blame):
            return found
    if status in (404, 405):
        return Verdict.FAILURE, "endpoint_not_found"
    if 300 <= status < 400:
        return Verdict.FAILURE, "redirect_not_followed"
    return Verdict.FAILURE, "upstream_timeout" if status in (408, 504) else "upstream_error"


def _refused(error: ErrorBody, status: int, blame: Blame) -> tuple[Verdict, str] | None:
    said = {error.code, error.type}
    if status == 402 or said & QUOTA or (status in (403, 429) and _SPENT.search(error.words)):
        return Verdict.REFUSED, "insufficient_quota"
    if status in (401, 403) or said & KEY:
        return Verdict.REFUSED, "permission_denied" if status == 403 else "invalid_api_key"
    if status == 400 and _REFUSAL_IN_400.match(error.message.lower()):
        return Verdict.REFUSED, "invalid_api_key"
    if blame.own_model and _no_such_model(error, status):
        return Verdict.REFUSED, "model_not_found"
    return None


def _no_such_model(error: ErrorBody, status: int) -> bool:
    if status not in (400, 404, 422):
        return False
    told = bool({error.code, error.type} & _MODEL_CODES) or error.param == "model"
    return told or (status == 404 and bool(_NO_SUCH_MODEL.search(error.words)))


def _throttled(error: ErrorBody, status: int, blame: Blame) -> tuple[Verdict, str] | None:
    slow_down = status in (429, 529) or {error.code, error.type} & SLOW_DOWN
    busy = status == 503 and _BUSY.search(error.words)
    return (Verdict.THROTTLED, "rate_limit_exceeded") if slow_down or busy else None


def _callers_fault(error: ErrorBody, status: int, blame: Blame) -> tuple[Verdict, str] | None:
    """400, 413, 422 and an unknown model the client named; overflows, whatever their status (old llama.cpp says 500)."""
    too_long = bool({error.code, error.type} & OVERFLOW or _TOO_LONG.search(error.words))
    if status == 413 or (too_long and status in (400, 422, 500)):
        return Verdict.IGNORED, "context_length_exceeded"
    if status not in (400, 404, 422):
        return None
    if _no_such_model(error, status):
        return Verdict.IGNORED, "model_not_found"
    if status == 404:
        return None
    if _our_field(error, blame):
        return Verdict.FAILURE, "upstream_rejected_field"
    return Verdict.IGNORED, "invalid_request_error"


def _our_field(error: ErrorBody, blame: Blame) -> bool:
    """A place that was named decides; mere words only if the client wrote none of the body's fields."""
    if (place := error.param.split(".")[0]) in blame.own_fields:
        return True
    named = set() if place else {a or b for a, b in _NAMED.findall(error.message)}
    return blame.own_body and bool(named & blame.own_fields or _UNKNOWN_FIELD.search(error.words))


def _pause(verdict: Verdict, headers: Mapping[bytes, bytes], error: ErrorBody) -> float | None:
    """A failure is only believed when it says Retry-After: OpenAI sends its reset headers with every answer."""
    if verdict is Verdict.THROTTLED:
        return pause_asked(headers, error.message)
    explicit = {name: headers[name] for name in (b"retry-after", b"retry-after-ms", b"date") if name in headers}
    return pause_asked(explicit) if verdict is Verdict.FAILURE else None


def _status_of(error: ErrorBody) -> int:
    """The status an error without one would have had."""
    said = {error.code, error.type}
    if said & SLOW_DOWN:
        return 429
    if said & KEY:
        return 401
    return 400 if said & {"invalid_request_error", "invalid_request", "bad_request"} | said & OVERFLOW else 500
