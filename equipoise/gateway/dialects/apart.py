"""A long body read once: its messages apart from the few fields around them.

A long prompt is one long list, `{..."messages":TURNS...}`, and whoever splits such a body into fields goes through all its
words to find where the list ends. Here that is guessed, and proven without reading them: if the body with an empty list in
the place of TURNS is JSON and says so of its messages, the cut stands where a value stands; and if TURNS are JSON by
themselves, they are that value, for JSON can be read in one way only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

LONG = 4_096
"""Bytes from which on a body is worth it."""
MOST_AROUND = 16_384
"""Bytes before the messages, and as many behind them, among which they are looked for."""
GUESSES = 6

NOBODY = b"[]"
_NOBODY = msgspec.Raw(NOBODY)
_BEFORE = re.compile(rb'"messages"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
_IN_AN_OBJECT = ord("}")
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Apart(NamedTuple):
    """A body without its messages, which are an empty list there, its fields, and where the messages stand in it.

    It is what the body says if, and only if, `turns` are JSON.
    """

    rest: bytes
    fields: dict[str, msgspec.Raw]
    turns: memoryview


def apart(body: bytes) -> Apart | None:
    """Take a body apart; None where it is not plain to see where its messages end."""
    before = _BEFORE.search(body, 0, MOST_AROUND)
    if before is None:
        return None
    start, end = before.end(), len(body)
    least = max(start, end - MOST_AROUND)
    for _ in range(GUESSES):
        end = body.rfind(b"}]", least, end)
        if end < 0:
            break
        # Tools, which often follow, end with an object in an object; messages with a text, or with a list of parts.
        if body[end - 1] != _IN_AN_OBJECT and (found := _cut(body, start, end + 2)) is not None:
            return found
    return None


def _cut(body: bytes, start: int, end: int) -> Apart | None:
    rest = b"".join((body[:start], NOBODY, body[end:]))
    try:
        fields = _fields(rest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if fields.get("messages") != _NOBODY or rest.count(NOBODY) != 1:
        return None
    return Apart(rest, fields, memoryview(body)[start:end])
