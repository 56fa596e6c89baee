"""What may be ordered on a page, as the admin listener takes it: same checks, same functions, same refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from equipoise.core.ladder import Command
from equipoise.gateway.alerting import ACK, TEST
from equipoise.gateway.canarying import STATE
from equipoise.gateway.people import BACKENDS
from equipoise.gateway.problems import Problem

VERBS = {"drain": "drain", "resume": "resume", "open": "open-breaker", "close": "close-breaker", "weight": "weight"}
CANARY = {f"canary-{command.value}": command for command in Command}
ALL_RUNGS = "canary-promote-full"


class Ordered(NamedTuple):
    """Path and body of the POST that an order comes to, and the page that shows what came of it."""

    path: str
    body: dict[str, Any]
    page: str


def order(action: str, said: Mapping[str, str], who: str) -> Ordered:
    """What this form of somebody's asks for. Raises Problem 400 or 404."""
    if action in VERBS:
        return _of_backend(VERBS[action], said)
    if action in CANARY or action == ALL_RUNGS:
        return _of_canary(action, said, who)
    if action == "ack":
        return Ordered(ACK, {"id": said.get("target", ""), "who": who}, "reliability")
    if action == "test-notice":
        return Ordered(TEST, {}, "reliability")
    raise Problem(404, "unknown_order", "There is no such order.", should_retry=False)


def _of_backend(verb: str, said: Mapping[str, str]) -> Ordered:
    target = said.get("target", "")
    if not target:
        raise Problem(400, "invalid_request_error", "It is not said which backend.", should_retry=False)
    body = {"weight": _number(said, "A weight is a number above 0.")} if verb == "weight" else {}
    return Ordered(f"{BACKENDS}/{quote(target, safe='')}/{verb}", body, "backends")


def _of_canary(action: str, said: Mapping[str, str], who: str) -> Ordered:
    command = CANARY.get(action, Command.PROMOTE)
    body: dict[str, Any] = {"who": who}
    if action == ALL_RUNGS:
        body["full"] = True
    if command is Command.SET_WEIGHT:
        body["weight"] = _number(said, "A share is a number of percent, above 0 and below 100.")
    return Ordered(f"{STATE}/{command.value}", body, "canary")


def _number(said: Mapping[str, str], otherwise: str) -> float:
    try:
        found = float(said.get("weight", ""))
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise Problem(400, "invalid_request_error", otherwise, should_retry=False)
    return found
