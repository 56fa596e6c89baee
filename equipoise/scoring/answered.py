"""One question and its answer, cut to size and taken apart once for all that look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

from equipoise.core.model import Answer, Citation
from equipoise.scoring import words

QUESTION, TEXT, SOURCES = 1_000, 4_000, 8_000
"""Characters that are read of a question, an answer and its sources together: what bounds the time an answer takes."""

FAMILIAR = 60
"""Characters by which a passage and the beginning of it that came with a citation are known to be the same."""


class Passage:
    """A source's text: the stems of its words of meaning, and whatever a number or a name may be found among."""

    __slots__ = ("facts", "words")

    def __init__(self, text: str) -> None:
        found = words.words(text)
        self.words = words.meaning(found)
        self.facts = words.numbers(text).union(found)


class Answered:
    """A question with its answer and the sources that came along, each read once; nothing is kept beyond that."""

    def __init__(self, question: str, answer: Answer) -> None:
        self.question = question[-QUESTION:]
        self.finish_reason = answer.finish_reason
        self.has_tool_calls = bool(answer.tool_calls)
        self.marked = answer.text[:TEXT]
        self.citations: Sequence[Citation] = answer.citations
        self.contexts: Sequence[str] = answer.contexts
        self.body = words.body_of(self.marked)
        self.text = words.unmarked(self.body)

    @cached_property
    def words(self) -> list[str]:
        """The answer's words, in order, in lower case."""
        return words.words(self.text)

    @cached_property
    def meaning(self) -> frozenset[str]:
        """The stems of the answer's words that carry meaning."""
        return words.meaning(self.words)

    @cached_property
    def asked_words(self) -> list[str]:
        """The question's words."""
        return words.words(self.question)

    @cached_property
    def asked(self) -> frozenset[str]:
        """The stems of the question's words that carry meaning."""
        return words.meaning(self.asked_words)

    @cached_property
    def cited(self) -> dict[int, str]:
        """The text of each citation that has one, by its number: a passage that came along, or else title and snippet."""
        left = SOURCES
        found: dict[int, str] = {}
        for citation in self.citations:
            text = f"{citation.title} {self._whole(citation.snippet)}"[:left]
            if citation.snippet and left > 0:
                found[citation.index] = text
                left -= len(text)
        return found

    def _whole(self, snippet: str) -> str:
        """The passage that a snippet is the beginning of."""
        start = snippet[:FAMILIAR]
        return next((context for context in self.contexts if start and context.startswith(start)), snippet)

    @cached_property
    def sources(self) -> list[str]:
        """Everything that came with the answer for it to rest on: passages, and what the citations show of theirs."""
        return list(_cut([*self.contexts, *(f"{c.title} {c.snippet}" for c in self.citations if c.snippet)], SOURCES))

    @cached_property
    def support(self) -> Passage | None:
        """All sources as one; None without any."""
        return Passage("\n".join(self.sources)) if self.sources else None


def _cut(texts: Iterable[str], most: int) -> Iterable[str]:
    seen: set[str] = set()
    for text in texts:
        if most <= 0:
            return
        if text[:FAMILIAR] not in seen:
            seen.add(text[:FAMILIAR])
            yield text[:most]
            most -= len(text)
