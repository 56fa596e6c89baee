"""What people (or checks of their own) say of an answer: POST /v1/feedback.

    {"request_id": "req-...", "rating": 4}                                    one to five, or "up" and "down"
    {"request_id": "req-...", "type": "expert", "score": 0.9, "dimensions": {"support": 1.0}}
    {"request_id": "req-...", "type": "automated", "score": 0.25}

Joined by request id, also long after the answer while the ledger has it. A client may speak of its own tenant's requests
only; saying something again replaces what the same type said before. Nothing that was written is kept, only numbers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from equipoise.gateway.configuring import read_body
from equipoise.gateway.problems import Problem
from equipoise.gateway.records import MAX_ID, readable
from equipoise.http import Request
from equipoise.scoring.opinions import Opinion, opinion

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer
    from equipoise.scoring.remembered import Known

PATH = "/v1/feedback"
LARGEST = 8_192
MOST_DIMENSIONS = 8
DIMENSION = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
"""A name is kept; what could be a sentence about somebody is none."""
THUMBS = {"up": 1.0, "down": 0.0}
LOWEST, HIGHEST = 1, 5


class FeedbackBody(msgspec.Struct, forbid_unknown_fields=True):
    """Either a `rating` (1 to 5, "up" or "down") or a `score` in [0, 1]; `dimensions` are scores of parts of it."""

    request_id: str
    rating: int | float | Literal["up", "down"] | None = None
    score: float | None = None
    type: Literal["rating", "expert", "automated"] = "rating"
    dimensions: dict[str, float] = {}


async def given(balancer: LoadBalancer, request: Request, tenant: str, *, everyone: bool) -> dict[str, Any]:
    """Take in what was said; returns what came of it. Raises Problem 400, 404, 413 or 503."""
    if len(request.body) > LARGEST:
        raise Problem(413, "request_too_large", f"Feedback has at most {LARGEST} bytes.", should_retry=False)
    body = read_body(request.body, FeedbackBody)
    said = _opinion(body)
    known = await _known(balancer, body.request_id, None if everyone else tenant)
    counts = balancer.scorer is not None and balancer.scorer.state_opinion(known, said)
    return {
        "object": "equipoise.feedback",
        "request_id": known.request_id,
        "backend": known.backend_id,
        "type": said.by,
        "quality": said.quality,
        "counts": counts,
    }


async def _known(balancer: LoadBalancer, request_id: str, tenant: str | None) -> Known:
    """The answer spoken of; another tenant's is as unknown as one that never was."""
    scorer = balancer.scorer
    known = scorer.known(request_id, tenant) if scorer is not None and 0 < len(request_id) <= MAX_ID else None
    found = await readable(known) if known is not None else None
    if found is None:
        text = "No answer to this request is known."
        raise Problem(404, "request_not_found", text, param="request_id", should_retry=False)
    return found


def _opinion(body: FeedbackBody) -> Opinion:
    if (body.rating is None) == (body.score is None):
        raise _bad("rating", "Say either a rating or a score.")
    shares = {"score": _score(body), **body.dimensions}
    if len(body.dimensions) > MOST_DIMENSIONS or not all(map(DIMENSION.fullmatch, body.dimensions)):
        told = f"At most {MOST_DIMENSIONS} dimensions, each named by one short word: letters, digits, _ and -."
        raise _bad("dimensions", told)
    for name, value in shares.items():
        if not 0.0 <= value <= 1.0:
            raise _bad(name[:64], "A score lies between 0 and 1, a rating between 1 and 5.")
    return opinion(body.type, shares["score"], body.dimensions)


def _score(body: FeedbackBody) -> float:
    if body.rating is None:
        return body.score or 0.0
    if isinstance(body.rating, str):
        return THUMBS[body.rating]
    return (body.rating - LOWEST) / (HIGHEST - LOWEST)


def _bad(param: str, text: str) -> Problem:
    return Problem(400, "invalid_request_error", text, param=param, should_retry=False)
