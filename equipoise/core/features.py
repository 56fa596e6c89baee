"""What a question looks like, by rules: its kind, cues for web search or a graph, and some numbers for learning.

Deterministic, no model, a few microseconds. A kind is a prior and a feature, never a wall: every backend may still be
asked anything. Of a long prompt only the beginning and the end are read.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping

from equipoise.core.vocabulary import DEFAULT_TERMS

FEATURES_VERSION = 1
"""Raised whenever the same text would give other features: recorded decisions name the version they were made with."""

KINDS = ("metabolomics", "current_research", "methodology", "review", "general")

WINDOW = 2048
"""Characters read at each end of a text: what is asked stands at the beginning or at the end, documents in between."""

STEM = 4

# What is asked of a domain says more than the domain: "latest metabolomics methods" wants something recent. Only the
# web knows what is new, so recency weighs most; the order also settles ties.
_WEIGHTS = (("current_research", 3.0), ("review", 2.0), ("methodology", 1.5), ("metabolomics", 1.0))

_WORD = re.compile(r"[\w-]+")
_APART = str.maketrans({sign: " " for sign in string.punctuation if sign not in "_-"})
_NEW_YEAR = re.compile(r"\b20(?:2[4-9]|[3-9]\d)\b")
_CODE = ("```", "def ", "class ", "return ", "import ", "</", "=>", "==", "();", "{\n", ";\n", "SELECT ")
_CHOICES = re.compile(r"(?:^|\s)\(?[A-Da-d1-4][).:]\s", re.MULTILINE)
_DIGIT = re.compile(r"[0-9]")
_SYMBOL = re.compile(r"[-+*/=<>^%$\\]")
_CAPITAL = re.compile(r"[A-Z]")
_REASONS = frozenset(("why", "how", "explain", "mechanism"))
_FACTS = frozenset(("who", "when", "where", "which", "what"))
_YES_NO = frozenset(("is", "are", "does", "do", "can", "did", "was", "were", "has", "have", "should", "could"))


class Vocabulary:
    """Terms by topic, prepared so that a text is matched by set intersection instead of by searching for each term."""

    def __init__(self, terms: Mapping[str, Iterable[str]]) -> None:
        listed = [(term.lower(), topic) for topic, own in terms.items() for term in own]
        self._phrases: dict[str, list[tuple[str, str]]] = {}
        for term, topic in listed:
            if " " in term:
                self._phrases.setdefault(term.split()[0], []).append((term, topic))
        whole = [(term, topic) for term, topic in listed if " " not in term and not term.endswith("*")]
        self._words = {topic: frozenset(term for term, own in whole if own == topic) for topic in terms}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        for term, topic in listed:
            if term.endswith("*"):
                self._add_stem(term[:-1], topic)

    def _add_stem(self, stem: str, topic: str) -> None:
        if len(stem) < STEM:
            raise ValueError(f"the beginning of a word has at least {STEM} letters: {stem}*")
        self._stems.setdefault(stem[:STEM], []).append((stem, topic))

    def count(self, text: str, words: frozenset[str]) -> dict[str, int]:
        """Return how many different terms of each topic a text in lower case, and its set of words, contain."""
        counts = {topic: len(own & words) for topic, own in self._words.items()}
        stems = self._stems
        for word in words:
            if word[:STEM] in stems:
                self._count_stems(word, counts)
        for word in self._phrases.keys() & words:
            for phrase, topic in self._phrases[word]:
                counts[topic] += phrase in text
        return counts

    def _count_stems(self, word: str, counts: dict[str, int]) -> None:
        for stem, topic in self._stems[word[:STEM]]:
            if word.startswith(stem):
                counts[topic] += 1


DEFAULT_VOCABULARY = Vocabulary(DEFAULT_TERMS)


def window(text: str) -> str:
    """Return the beginning and the end of a text: all of it up to 4,096 characters."""
    return text if len(text) <= 2 * WINDOW else f"{text[:WINDOW]}\n{text[-WINDOW:]}"


def topics(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> dict[str, int]:
    """Return how many terms of each topic a text contains; a year from 2024 on counts as recency."""
    lower = window(text).lower()
    return _count(lower, words_of(lower), vocabulary)


def words_of(lower: str) -> frozenset[str]:
    """Return the different words of a text in lower case. Plain ASCII, the usual case, is split without a search."""
    return frozenset(lower.translate(_APART).split() if lower.isascii() else _WORD.findall(lower))


def _count(lower: str, words: frozenset[str], vocabulary: Vocabulary) -> dict[str, int]:
    counts = vocabulary.count(lower, words)
    if "20" in lower and _NEW_YEAR.search(lower):
        counts["current_research"] = counts.get("current_research", 0) + 1
    return counts


def kind_of(counts: Mapping[str, int]) -> str:
    """Return the kind with the most weighted terms, or 'general' when none was found."""
    best, most = "general", 0.0
    for kind, weight in _WEIGHTS:
        score = weight * counts.get(kind, 0)
        if score > most:
            best, most = kind, score
    return best


def classify(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> str:
    """Return the kind of a question, one of KINDS."""
    return kind_of(topics(text, vocabulary))


def leaning(counts: Mapping[str, int]) -> dict[str, float]:
    """Return how much a question leans to each type of backend, in [0, 1]: a prior for learning, not a rule.

    Recency words lean to web search, words about relations to a knowledge graph.
    """
    recent, graph = counts.get("current_research", 0), counts.get("graph", 0)
    return {"perplexity": recent / (recent + 1.0), "lightrag": graph / (graph + 1.0)}


def hand_features(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> dict[str, float]:
    """Return thirteen numbers about a question, each in [0, 1] or nearly, the same for the same text and version."""
    seen = window(text)
    lower = seen.lower()
    words = words_of(lower)
    counts = _count(lower, words, vocabulary)
    size = max(1, len(seen))
    return {
        "length": math.log1p(len(text)) / 10.0,
        "digits": len(_DIGIT.findall(seen)) / size,
        "symbols": len(_SYMBOL.findall(seen)) / size,
        "capitals": len(_CAPITAL.findall(seen)) / size,
        "code": float(any(sign in seen for sign in _CODE)),
        "choices": min(1.0, len(_CHOICES.findall(seen)) / 4.0),
        "parts": min(1.0, (seen.count("?") + lower.count(" and ") + seen.count("\n")) / 8.0),
        "reason": float(not words.isdisjoint(_REASONS)),
        "fact": float(not words.isdisjoint(_FACTS)),
        "yes_no": float(lower.lstrip().split(" ", 1)[0] in _YES_NO),
        "recency": _saturated(counts.get("current_research", 0)),
        "graph": _saturated(counts.get("graph", 0)),
        "domain": _saturated(counts.get("metabolomics", 0)),
    }


def _saturated(count: int) -> float:
    return count / (count + 1.0)
