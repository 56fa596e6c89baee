"""What a sandbox backend knows, and the texts it makes of that; the same question always gets the same words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from equipoise.sandbox.fact import Fact
from equipoise.sandbox.facts_general import GENERAL, NEWS
from equipoise.sandbox.facts_metabolomics import METABOLOMICS

LIBRARIES: dict[str, tuple[Fact, ...]] = {
    "metabolomics": METABOLOMICS,
    "notebook": METABOLOMICS[::2],
    "training": METABOLOMICS + GENERAL,
    "web": METABOLOMICS + GENERAL + NEWS,
}
"""Names that a profile may give: everything on metabolomics, half of it, what a model was trained on, all and the news."""


class Knowledge:
    """Facts that can be asked for by words; `depth` is how many of them one answer uses at most."""

    def __init__(self, library: str, depth: int) -> None:
        self._facts = [(fact, _cue_pattern(fact)) for fact in LIBRARIES[library]]
        self._depth = depth

    def __len__(self) -> int:
        return len(self._facts)

    def find(self, question: str) -> list[Fact]:
        """The facts the question calls up, the most called first, ties by name; none when nothing is known."""
        hits = [(_weight(pattern, question.lower()), fact) for fact, pattern in self._facts]
        hits.sort(key=lambda hit: (-hit[0], hit[1].name))
        return [fact for weight, fact in hits if weight][: self._depth]


def _cue_pattern(fact: Fact) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?<![a-z0-9]){re.escape(cue)}" for cue in fact.cues))


def _weight(pattern: re.Pattern[str], question: str) -> int:
    return sum(len(cue.split()) for cue in set(pattern.findall(question)))


def cited(facts: Sequence[Fact]) -> str:
    """The facts one after the other, each with its number in brackets."""
    return "\n\n".join(f"{fact.text} [{number}]" for number, fact in enumerate(facts, 1))


def with_references(facts: Sequence[Fact]) -> str:
    """Cited, and followed by the list of documents as LightRAG's prompt demands it."""
    listed = "\n".join(f"- [{number}] {fact.file}" for number, fact in enumerate(facts, 1))
    return f"{cited(facts)}\n\n### References\n\n{listed}"


def recalled(facts: Sequence[Fact]) -> str:
    """What a general model says from memory: the gist, without sources; fluent and empty when it knows nothing."""
    if not facts:
        return (
            "This depends on the context. In general it helps to state the goal, to look at recent primary sources and "
            "to compare alternatives; I have no specific information about it from my training."
        )
    return "In short: " + " ".join(fact.gist for fact in facts)


def tokens(text: str) -> int:
    """About how many tokens a text has: four characters each, one at least."""
    return max(1, -(-len(text) // 4))


def words(text: str, together: int = 1) -> list[str]:
    """Cut a text into runs of `together` words whose concatenation is the text."""
    singles = re.findall(r"\s*\S+\s*$|\s*\S+", text)
    return ["".join(singles[i : i + together]) for i in range(0, len(singles), together)]


def shortened(text: str, limit: int | None) -> tuple[str, str]:
    """The text within `limit` tokens and OpenAI's word for why it ends there."""
    if limit is None or tokens(text) <= limit:
        return text, "stop"
    return text[: 4 * limit], "length"
