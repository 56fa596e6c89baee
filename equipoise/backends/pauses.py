"""How long an upstream asks us to keep away, in whatever form it says so."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Final

LONGEST: Final = 86_400.0
"""Nobody is believed who asks for more than a day."""

EPOCH: Final = 1_000_000_000.0
"""A reset larger than this many seconds is a point in Unix time, not a duration."""

_UNITS: Final = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000_001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|[dhms])")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_IN_WORDS = re.compile(
    r"(?:try again|retry|wait)[^.\d]{0,40}?(\d{1,7}(?:\.\d{1,6})?)\s*(ms|milliseconds?|s|sec(?:ond)?s?|m|min(?:ute)?s?)\b",
    re.IGNORECASE,
)
_RESETS: Final = ("requests", "tokens")


def pause_asked(headers: Mapping[bytes, bytes], message: str = "") -> float | None:
    """Seconds to keep away: `retry-after-ms`, `retry-after` (seconds or a date), `x-ratelimit-reset*`, or the words.

    None when nothing is said. Never negative, at most a day.
    """
    found = _retry_after_ms(headers)
    if found is None:
        found = _retry_after(headers)
    if found is None:
        found = _reset(headers)
    if found is None:
        found = _in_words(message)
    return None if found is None else min(max(found, 0.0), LONGEST)


def seconds_of(text: str) -> float | None:
    """Read '1s', '6m0s', '120ms' or a plain number of seconds; None for anything else."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1").strip()


def _retry_after_ms(headers: Mapping[bytes, bytes]) -> float | None:
    text = _text(headers, b"retry-after-ms")
    return float(text) / 1000 if _NUMBER.fullmatch(text) else None


def _retry_after(headers: Mapping[bytes, bytes]) -> float | None:
    text = _text(headers, b"retry-after")
    if not text:
        return None
    seconds = seconds_of(text)
    return seconds if seconds is not None else _until(text, _text(headers, b"date"))


def _until(date: str, now: str) -> float | None:
    """Seconds from the upstream's own `Date` (its clock set both) to `date`."""
    then = _unix(date)
    if then is None:
        return None
    return then - (_unix(now) or time.time())


def _unix(date: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[bytes, bytes]) -> float | None:
    """The longest reset among the budgets that are used up; among all if none is said to be."""
    resets = {kind: _reset_of(headers, b"x-ratelimit-reset-" + kind.encode()) for kind in _RESETS}
    used_up = [kind for kind in _RESETS if _text(headers, b"x-ratelimit-remaining-" + kind.encode()) == "0"]
    known = [reset for kind in used_up or _RESETS if (reset := resets[kind]) is not None]
    return max(known) if known else _reset_of(headers, b"x-ratelimit-reset")


def _reset_of(headers: Mapping[bytes, bytes], name: bytes) -> float | None:
    seconds = seconds_of(_text(headers, name))
    return seconds - time.time() if seconds is not None and seconds > EPOCH else seconds


def _in_words(message: str) -> float | None:
    if not (match := _IN_WORDS.search(message)):
        return None
    number, unit = float(match[1]), match[2].lower()
    if unit.startswith(("ms", "milli")):
        return number / 1000
    return number * 60 if unit.startswith("m") else number
