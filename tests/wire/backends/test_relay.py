"""Relaying without decoding: whatever an answer says, and however it is written and cut, it arrives as it was."""

from __future__ import annotations

import itertools
import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.base import TextDelta
from equipoise.backends.classify import Blame
from equipoise.backends.openai_stream import Relay
from equipoise.backends.translation import items_in, whole_calls
from equipoise.core.model import Usage

MIMICRY = [
    '"usage":{"prompt_tokens":9}',
    "[DONE]",
    "data: [DONE]\n\n",
    '"finish_reason":"stop"',
    '"error"',
    "\u2028",
    '\\"',
]
TEXTS = st.lists(st.text(min_size=1, max_size=12) | st.sampled_from(MIMICRY), min_size=1, max_size=6)
SPELLINGS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " :\t")])
USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


def chunk(content: str | None = None, finish: str | None = None, usage: Any = None) -> dict[str, Any]:
    """One event as most servers write it."""
    delta = {} if content is None else {"content": content}
    return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": usage}


def written(events: list[dict[str, Any]], spelling: tuple[str, str], ascii_only: bool, end: str) -> bytes:
    """The stream, in some server's taste."""
    lines = [json.dumps(event, separators=spelling, ensure_ascii=ascii_only) for event in events]
    return "".join(f"data: {line}{end}{end}" for line in [*lines, "[DONE]"]).encode()


@given(
    texts=TEXTS,
    spelling=SPELLINGS,
    ascii_only=st.booleans(),
    end=st.sampled_from(["\n", "\r\n"]),
    usage_with_text=st.booleans(),
    places=st.lists(st.integers(0, 5_000), max_size=10),
)
def test_a_relayed_answer_is_the_answer(
    texts: list[str], spelling: tuple[str, str], ascii_only: bool, end: str, usage_with_text: bool, places: list[int]
) -> None:
    """No word is lost or added, usage is read once and never passed on, words that look like markers are words."""
    last = (
        [chunk(finish="stop", usage=USAGE)]
        if usage_with_text
        else [chunk(finish="stop"), {"choices": [], "usage": USAGE}]
    )
    wire = written([chunk(text) for text in texts] + last, spelling, ascii_only, end)
    relay, edges = Relay(Blame()), [0, *sorted(place % len(wire) for place in places), len(wire)]
    passed = b"".join(relay.feed(wire[a:b]) for a, b in itertools.pairwise(edges)) + relay.finish()
    assert items_in(passed) == [TextDelta(text) for text in texts]
    answer = relay.answer(0)
    assert (relay.done, answer.usage, answer.finish_reason, answer.model) == (True, Usage(3, 5), "stop", "m")
    events = [msgspec.json.decode(line[6:]) for line in passed.split(end.encode()) if line.startswith(b"data: {")]
    assert all(event.get("usage") is None for event in events)


@given(st.dictionaries(st.integers(0, 3), st.lists(st.text(max_size=5), min_size=1, max_size=4), min_size=1))
def test_tool_calls_in_pieces_are_put_together(calls: dict[int, list[str]]) -> None:
    """Arguments of several calls, told apart by their index, come out whole."""
    deltas = [
        {
            "index": index,
            "id": f"c{index}" if first else None,
            "function": {"name": "f" if first else None, "arguments": part},
        }
        for index, parts in calls.items()
        for first, part in zip([True] + [False] * len(parts), parts, strict=False)
    ]
    whole = whole_calls(deltas)
    assert [(call["id"], call["function"]["arguments"]) for call in whole] == [
        (f"c{index}", "".join(parts)) for index, parts in calls.items()
    ]
