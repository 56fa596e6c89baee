"""What may be ordered on a page, as the admin listener takes it: same checks, same functions, same refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from equipoise.gateway.people import BACKENDS
from equipoise.gateway.problems import Problem

VERBS = {"drain": "drain", "resume": "resume", "open": "open-breaker", "close": "close-breaker", "weight": "weight"}


def order(action: str, said: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Path and body of the POST it comes to. Raises Problem 400 or 404."""
    verb, target = VERBS.get(action), said.get("target", "")
    if verb is None:
        raise Problem(404, "unknown_order", "There is no such order.", should_retry=False)
    if not target:
        raise Problem(400, "invalid_request_error", "It is not said which backend.", should_retry=False)
    body = {"weight": _weight(said.get("weight", ""))} if verb == "weight" else {}
    return f"{BACKENDS}/{quote(target, safe='')}/{verb}", body


def _weight(said: str) -> float:
    try:
        weight = float(said)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        raise Problem(400, "invalid_request_error", "A weight is a number above 0.", should_retry=False)
    return weight
