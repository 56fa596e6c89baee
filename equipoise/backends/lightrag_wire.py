"""LightRAG's dialect: a question as a QueryRequest, a reply as an answer, and what a hidden failure looks like.

Fields and shapes as read in lightrag-hku 1.5.7; older servers lack `llm_generated` and `response_time`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from equipoise.backends import citations
from equipoise.core.model import Answer, Message, Question, Usage
from equipoise.core.pricing import estimate_tokens

QUERY_FIELDS: Final = frozenset(
    {
        "mode",
        "only_need_context",
        "only_need_prompt",
        "response_type",
        "top_k",
        "chunk_top_k",
        "max_entity_tokens",
        "max_relation_tokens",
        "max_total_tokens",
        "hl_keywords",
        "ll_keywords",
        "user_prompt",
        "disable_user_prompt_prefix",
        "enable_rerank",
        "include_references",
        "include_chunk_content",
    }
)
"""What a client or an operator may set; the rest of QueryRequest we fill ourselves."""

CANNED: Final = (
    "Sorry, I'm not able to provide an answer to that question.[no-context]",
    "Sorry, I'm not able to provide an answer to that question.",
    "No relevant context found for the query.",
    "No response generated.",
    "No response generated",
)
NO_CONTEXT: Final = "[no-context]"

SHORTEST: Final = 3
"""Characters below which every mode that retrieves refuses a question with 422."""

# What the hidden calls to the LLM say besides question and context, measured on the prompts of 1.5.7.
ANSWER_PROMPT: Final = 850
KEYWORD_PROMPT: Final = 1_200
KEYWORD_ANSWER: Final = 60
CONTEXT_LIMIT: Final = 30_000
"""LightRAG's own default for `max_total_tokens`."""


def options_of(question: Question, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The operator's options, overruled by the client's; only fields that QueryRequest knows, nulls left out."""
    both = {**defaults, **question.extra}
    return {name: value for name, value in both.items() if name in QUERY_FIELDS and value is not None}


def query_body(question: Question, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of `POST /query`: the last question, the turns around it, and instructions as `user_prompt`."""
    body: dict[str, Any] = {"query": question.text.strip(), **options}
    if history := [_turn(message) for message in other_turns(question) if message.text]:
        body["conversation_history"] = history
    if instructions := "\n\n".join(filter(None, (question.system, str(options.get("user_prompt") or "")))):
        body["user_prompt"] = instructions
    return body


def other_turns(question: Question) -> list[Message]:
    """All turns but instructions and the last question, in order."""
    turns = [message for message in question.messages if message.role not in ("system", "developer")]
    last = max((i for i, message in enumerate(turns) if message.role == "user"), default=len(turns))
    return turns[:last] + turns[last + 1 :]


def _turn(message: Message) -> dict[str, str]:
    """LightRAG hands history to its LLM as it is: only the two roles that every LLM knows."""
    return {"role": "assistant" if message.role == "assistant" else "user", "content": message.text}


def too_short(body: Mapping[str, Any]) -> bool:
    """Whether LightRAG would refuse the question for its length."""
    return len(body["query"]) < (1 if body.get("mode") == "bypass" else SHORTEST)


class Told(msgspec.Struct):
    """What a reply, or the lines of a streamed one, have said so far."""

    text: list[str] = []
    references: list[Any] = []
    generated: bool = True

    def take(self, line: Mapping[str, Any]) -> str:
        """Add one object; returns the text it brought."""
        if isinstance(references := line.get("references"), list):
            self.references = references
        if line.get("llm_generated") is False:
            self.generated = False
        piece = citations.text(line.get("response"))
        if piece:
            self.text.append(piece)
        return piece

    @property
    def whole(self) -> str:
        """The text so far."""
        return "".join(self.text)

    @property
    def contexts(self) -> list[str]:
        """The passages that came with the references."""
        listed = (citations.passages(reference.get("content")) for reference in citations.mappings(self.references))
        return [passage for passages in listed for passage in passages]


def answers_nothing(told: Told, options: Mapping[str, Any]) -> bool:
    """Whether a 200 is LightRAG's silent failure: its LLM or index gave nothing, or wrote nothing.

    What was asked for with `only_need_context` or `only_need_prompt` is not written by an LLM and yet an answer.
    """
    text = told.whole.strip()
    wanted_raw = options.get("only_need_context") or options.get("only_need_prompt")
    return not text or text in CANNED or NO_CONTEXT in text or not (told.generated or wanted_raw)


def may_be_canned(text: str) -> bool:
    """Whether a beginning of an answer may still turn out to be a canned one."""
    text = text.strip()
    return NO_CONTEXT in text or any(canned.startswith(text) for canned in CANNED)


def answer_from(told: Told, body: Mapping[str, Any], usage: Usage) -> Answer:
    """The finished answer, with usage estimated: LightRAG reports none."""
    return Answer(
        text=told.whole,
        citations=citations.from_references(told.references),
        usage=usage,
        contexts=told.contexts,
        model=f"lightrag/{body.get('mode', 'mix')}",
    )


def estimated_usage(body: Mapping[str, Any], told: Told, context_tokens: int | None) -> Usage:
    """Tokens of the hidden calls: one that finds keywords (unless given or not needed), one that answers."""
    asked = _tokens_asked(body)
    keyword_input, keyword_output = (asked + KEYWORD_PROMPT, KEYWORD_ANSWER) if _asks_for_keywords(body) else (0, 0)
    if body.get("only_need_context") or body.get("only_need_prompt") or not told.whole or not told.generated:
        return Usage(input_tokens=keyword_input, output_tokens=keyword_output, estimated=True)
    context = 0 if body.get("mode") == "bypass" else _context(body, told, context_tokens) + ANSWER_PROMPT
    return Usage(
        input_tokens=keyword_input + asked + context,
        output_tokens=keyword_output + estimate_tokens(told.whole),
        estimated=True,
    )


def _tokens_asked(body: Mapping[str, Any]) -> int:
    history = (turn["content"] for turn in body.get("conversation_history", ()))
    return estimate_tokens("\n".join((body["query"], str(body.get("user_prompt", "")), *history)))


def _asks_for_keywords(body: Mapping[str, Any]) -> bool:
    given = body.get("hl_keywords") or body.get("ll_keywords")
    return body.get("mode", "mix") not in ("naive", "bypass") and not given


def _context(body: Mapping[str, Any], told: Told, context_tokens: int | None) -> int:
    """Tokens of what was retrieved: counted if it came along, else as told, else half of what may be used."""
    if told.contexts:
        return sum(map(estimate_tokens, told.contexts))
    limit = body.get("max_total_tokens", CONTEXT_LIMIT)
    return context_tokens if context_tokens is not None else int(limit) // 2
