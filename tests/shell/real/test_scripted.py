"""Telling LightRAG's prompts apart; the prompts here have its headings and our words."""

from __future__ import annotations

import json

from equipoise.sandbox.real import rules, scripted

CONTEXT = """---Role---
Long instructions.

Document Chunks (Each entry has a reference_id):

```json
{"reference_id": "1", "content": "Lactate falls."}
not json
{"reference_id": "2", "content": "FMO3 makes TMAO."}
```

Reference Document List:
"""


def conversation(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_an_extraction_prompt_gets_rows() -> None:
    """The text between the fences is what is extracted from, not the instructions."""
    prompt = "---Task---\nExtract.\n\n---Input Text---\n```\nFMO3 oxidises trimethylamine.\n```\n\n---Output---\n"
    assert scripted.reply(conversation(("system", "x"), ("user", prompt))) == rules.extraction(
        "FMO3 oxidises trimethylamine."
    )


def test_a_keyword_prompt_gets_json() -> None:
    """The question is found between its heading and the output heading."""
    prompt = "---Real Data---\nUser Query: What makes TMAO?\n\n---Output---\nOutput:"
    assert json.loads(scripted.reply(conversation(("user", prompt))) or "")["low_level_keywords"] == ["TMAO"]


def test_a_summary_prompt_gets_its_descriptions_joined() -> None:
    """Each different description once."""
    lines = "\n".join(json.dumps({"Description": text}) for text in ("One.", "Two.", "One."))
    prompt = f"---Input---\nEntity Name: X\n\nDescription List:\n\n```\n{lines}\n```\n\n---Output---\n"
    assert scripted.reply(conversation(("user", prompt))) == "One. Two."


def test_a_second_extraction_adds_nothing() -> None:
    """What was missed by a rule would be missed again."""
    prompt = "---Task---\nBased on the last extraction task, find what was missed."
    assert scripted.reply(conversation(("user", prompt))) == rules.COMPLETE


def test_a_users_question_is_no_business_of_a_rule() -> None:
    """It is passed on, and may be quoted from the passages."""
    asked = conversation(("system", CONTEXT), ("user", "Which enzyme makes TMAO?"))
    assert scripted.reply(asked) is None
    assert scripted.quotation(asked) == "FMO3 makes TMAO. [2]"


def test_a_shortened_prompt_keeps_passages_turns_and_question_and_drops_instructions() -> None:
    """Everything the answer depends on is still there."""
    asked = conversation(
        ("system", CONTEXT), ("user", "What is TMAO?"), ("assistant", "An oxide."), ("user", "What makes it?")
    )
    *turns, last = scripted.shortened(asked)
    assert [turn["content"] for turn in turns] == ["What is TMAO?", "An oxide."]
    assert all(part in last["content"] for part in ("Lactate falls.", "FMO3 makes TMAO.", "What makes it?"))
    assert "Long instructions." not in str(last)


def test_a_prompt_without_passages_is_left_as_it_is() -> None:
    """There is nothing to shorten in an ordinary conversation."""
    asked = conversation(("system", "Be brief."), ("user", "Hello"))
    assert scripted.shortened(asked) == asked
