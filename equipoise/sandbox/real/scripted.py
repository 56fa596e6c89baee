"""What is done with which of LightRAG's prompts: told apart by the headings LightRAG 1.5 writes into them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from equipoise.sandbox.real import rules

INPUT_TEXT = re.compile(r"^---Input Text---\n```\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
USER_QUERY = re.compile(r"^User Query: (.*?)\n\n---Output---", re.DOTALL | re.MULTILINE)
DESCRIPTIONS = re.compile(r"^Description List:\n\n```\n(.*?)\n```$", re.DOTALL | re.MULTILINE)
CHUNKS = re.compile(r"^Document Chunks \(.*?\):\n\n```json\n(.*?)\n```$", re.DOTALL | re.MULTILINE)


def reply(messages: Sequence[dict[str, Any]]) -> str | None:
    """The words of a rule for LightRAG's own purposes; None for a question of a user, which needs an answer."""
    last = str(messages[-1].get("content") or "") if messages else ""
    if found := INPUT_TEXT.search(last):
        return rules.extraction(found[1])
    if found := USER_QUERY.search(last):
        return rules.keywords(found[1])
    if found := DESCRIPTIONS.search(last):
        return rules.summary([str(row.get("Description", "")) for row in json_lines(found[1])])
    return rules.COMPLETE if "last extraction task" in last else None


def quotation(messages: Sequence[dict[str, Any]]) -> str:
    """A question answered without a model: the sentence of its passages that fits best."""
    return rules.quotation(str(messages[-1].get("content") or ""), passages(messages))


def shortened(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same conversation for a very small model: the passages and the question, without LightRAG's instructions.

    LightRAG spends 650 tokens on how to answer; a model of 135 million parameters repeats them instead of obeying.
    """
    found = passages(messages)
    if not found:
        return list(messages)
    turns = [message for message in messages[:-1] if message.get("role") != "system"]
    texts = "\n".join(text for _, text in found)
    question = f"{texts}\n\nQuestion: {messages[-1]['content']}\nAnswer with one sentence from the text."
    return [*turns, {"role": "user", "content": question}]


def passages(messages: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """(reference, text) of the document chunks that LightRAG put into the prompt."""
    prompt = "\n".join(str(message.get("content") or "") for message in messages[:-1])
    rows = json_lines(found[1]) if (found := CHUNKS.search(prompt)) else []
    return [(str(row.get("reference_id", "")), str(row.get("content", ""))) for row in rows]


def json_lines(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a text with one to the line; other lines are left out."""
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows
