"""`Cache-Control` of a question, or `x-equipoise-cache` where proxies in between have a mind of their own about the former.

    no-store          neither given from what is kept, nor kept
    no-cache          asked anew; the answer takes the place of the kept one
    max-age=SECONDS   only an answer that is no older
    only-if-cached    a kept answer or 504, nobody is asked
    exact             ours: no answer to the same question in other words

Directives that are not for us are ignored (RFC 9111, 5.2.3); a max-age that is no number lets nothing be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.http import Headers

CACHE_CONTROL, OURS = b"cache-control", "x-equipoise-cache"
OURS_FIELD = OURS.encode()
FIELDS = frozenset({CACHE_CONTROL, OURS_FIELD})
MOST_SECONDS = 2**31
"""A delta-seconds that is larger counts as this (RFC 9111, 1.2.2)."""


class Directives(msgspec.Struct, frozen=True):
    """What a client wants of the cache: `max_age` in seconds, None for any age."""

    store: bool = True
    max_age: float | None = None
    only_kept: bool = False
    exact: bool = False


UNSAID = Directives()


def read_directives(headers: Headers, metadata: Mapping[str, Any] | None) -> Directives:
    """All that the headers and `metadata` say, the strictest where they differ."""
    if metadata is None and FIELDS.isdisjoint(headers):
        return UNSAID
    said = [headers[name].decode("latin-1") for name in (CACHE_CONTROL, OURS_FIELD) if name in headers]
    said += [word for name, word in (metadata or {}).items() if name.lower() == OURS and isinstance(word, str)]
    if not said:
        return UNSAID
    words = dict(_directive(word) for word in ",".join(said).split(","))
    ages = [_seconds(value) for name, value in map(_directive, ",".join(said).split(",")) if name == "max-age"]
    if "no-cache" in words:
        ages.append(0.0)
    return Directives("no-store" not in words, min(ages, default=None), "only-if-cached" in words, "exact" in words)


def _directive(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    return name.strip().lower(), value.strip().strip('"')


def _seconds(said: str) -> float:
    if not (said.isascii() and said.isdigit()):
        return 0.0
    return float(min(int(said[:12]), MOST_SECONDS))
