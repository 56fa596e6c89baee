"""What a client may ask for besides the question: headers `x-equipoise-...`, or `metadata` under the same names."""

from __future__ import annotations

import decimal
import re
from collections.abc import Mapping
from typing import Any

from equipoise.core import data_classes
from equipoise.core.callers import Caller
from equipoise.core.intake import Hints
from equipoise.core.model import NANO_PER_USD, NanoUSD, Urgency
from equipoise.gateway.dialects.base import Asked, Malformed
from equipoise.http import Headers

STRATEGY, MAX_COST, DEADLINE = "x-equipoise-strategy", "x-equipoise-max-cost-usd", "x-equipoise-deadline-ms"
TAGS, SESSION = "x-equipoise-tags", "x-equipoise-session"
PRIORITY, REPEATABLE = "x-equipoise-priority", "x-equipoise-repeatable"
DATA_CLASS = "x-equipoise-data-class"
NAMES = (STRATEGY, MAX_COST, DEADLINE, TAGS, SESSION, PRIORITY, REPEATABLE, DATA_CLASS)
FIELDS = tuple((name, name.encode()) for name in NAMES)
SAID = frozenset(field for _, field in FIELDS)
KNOWN = frozenset(NAMES)

OPEN_URGENCIES = (Urgency.INTERACTIVE, Urgency.BATCH)
"""What a client may say; copies for a shadow are ours alone."""
MAX_DEADLINE_MS = 24 * 3600 * 1000
MAX_USD = 1_000_000
MAX_TAGS, MAX_TAG, MAX_SESSION = 16, 64, 256
TRACEPARENT = b"traceparent"
PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]{0,72})?")
STATE = re.compile(rb"[\x20-\x7e]{1,512}")
"""W3C Trace Context, 3.2 and 3.3; later versions may say more behind a dash."""


def read_hints(headers: Headers, asked: Asked, request_id: str, caller: Caller) -> Hints:
    """The hints of one request, a header before `metadata`; raises Malformed naming the header at fault."""
    if asked.metadata is None and SAID.isdisjoint(headers):
        return Hints(
            model=asked.model,
            tenant=caller.tenant,
            key=caller.key,
            budgets=caller.budgets,
            request_id=request_id,
            trace=trace(headers) if TRACEPARENT in headers else (),
            data_classes=caller.data_classes,
        )
    said = {name: headers[field] for name, field in FIELDS if field in headers}
    beside = _from_metadata(asked.metadata or {})
    words = beside | {name: value.decode("latin-1") for name, value in said.items()}
    classes = _data_classes(words.get(DATA_CLASS)) | _data_classes(beside.get(DATA_CLASS))
    return Hints(
        model=asked.model,
        strategy=words.get(STRATEGY),
        max_cost=_nano_dollars(words.get(MAX_COST)),
        deadline_seconds=_seconds(words.get(DEADLINE)),
        tags=_tags(words.get(TAGS)),
        session=_session(words.get(SESSION)),
        tenant=caller.tenant,
        key=caller.key,
        budgets=caller.budgets,
        request_id=request_id,
        trace=trace(headers),
        data_classes=caller.data_classes | classes,
        urgency=_urgency(words.get(PRIORITY)),
        repeatable=_repeatable(words.get(REPEATABLE)),
    )


def _urgency(said: str | None) -> Urgency:
    if said is None:
        return Urgency.INTERACTIVE
    if said not in OPEN_URGENCIES:
        raise _bad(PRIORITY, f"must be one of {', '.join(OPEN_URGENCIES)}")
    return Urgency(said)


def _repeatable(said: str | None) -> bool | None:
    """Whether the question may be asked again though it may have been acted on already; a caller with tools knows."""
    if said is not None and said not in ("true", "false"):
        raise _bad(REPEATABLE, "must be true or false")
    return None if said is None else said == "true"


def _data_classes(said: str | None) -> frozenset[str]:
    """What a question says it holds; it comes to what its key and its route say, in a header and in `metadata` alike."""
    if said is None:
        return data_classes.NONE
    try:
        return data_classes.read(said)
    except ValueError as error:
        raise _bad(DATA_CLASS, str(error)) from None


def trace(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """The W3C trace context as it came, where it is one: upstreams are shown nothing else of what a client wrote in its
    headers. Without a parent the state means nothing."""
    parent, state = headers.get(TRACEPARENT), headers.get(b"tracestate")
    if parent is None or PARENT.fullmatch(parent) is None:
        return ()
    found = (TRACEPARENT, parent)
    return (found,) if state is None or STATE.fullmatch(state) is None else (found, (b"tracestate", state))


def _from_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """By the names of headers, whose case means nothing; what stands there in two spellings says nothing clear."""
    found: dict[str, str] = {}
    for spelt, value in metadata.items():
        name = spelt.lower()
        if name in KNOWN and value is not None:
            if name in found:
                raise _bad(name, "stands in `metadata` twice")
            found[name] = _words(name, value)
    return found


def _words(name: str, value: Any) -> str:
    if name == TAGS and isinstance(value, list) and all(isinstance(tag, str) for tag in value):
        return ",".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _bad(name, "must be a string or a number")
    return str(value)


def _bad(name: str, why: str) -> Malformed:
    return Malformed(f"{name} {why}.", name)


def bad_strategy(why: str) -> Malformed:
    """Only the balancer knows the strategies there are, the operator's own included; `why` is its sentence."""
    return Malformed(f"{STRATEGY}: {why}", STRATEGY)


def _nano_dollars(said: str | None) -> NanoUSD | None:
    """Rounded down: a bound on cost must not grow by rounding."""
    if said is None:
        return None
    try:
        amount = decimal.Decimal(said) if len(said) <= 32 else decimal.Decimal("nan")
    except decimal.InvalidOperation:
        amount = decimal.Decimal("nan")
    if not amount.is_finite() or not 0 <= amount <= MAX_USD:
        raise _bad(MAX_COST, f"must be an amount in dollars between 0 and {MAX_USD}")
    return int(amount * NANO_PER_USD)


def _seconds(said: str | None) -> float | None:
    if said is None:
        return None
    if not (said.isascii() and said.isdigit() and len(said) <= 9 and 0 < int(said) <= MAX_DEADLINE_MS):
        raise _bad(DEADLINE, f"must be a whole number of milliseconds between 1 and {MAX_DEADLINE_MS}")
    return int(said) / 1000


def _tags(said: str | None) -> tuple[str, ...]:
    if not said:
        return ()
    tags = tuple(tag for tag in (part.strip() for part in said.split(",")) if tag)
    if len(tags) > MAX_TAGS or not all(len(tag) <= MAX_TAG and tag.isprintable() for tag in tags):
        raise _bad(TAGS, f"must be at most {MAX_TAGS} printable words of at most {MAX_TAG} characters")
    return tags


def _session(said: str | None) -> str | None:
    if said is not None and not (0 < len(said) <= MAX_SESSION and said.isprintable()):
        raise _bad(SESSION, f"must be at most {MAX_SESSION} printable characters")
    return said
