"""What a question looks like, by rules: its kind, cues for web search or a graph, and some numbers for learning.

Deterministic, no model, a few microseconds. A kind is a prior and a feature, never a wall: every backend may still be
asked anything. Of a long prompt only the beginning and the end are read.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Callable, Collection, Iterable, Mapping
from operator import itemgetter

from equipoise.core.vocabulary import DEFAULT_TERMS

FEATURES_VERSION = 2
"""Raised whenever the same text would give other features: recorded decisions name the version they were made with."""

KINDS = ("metabolomics", "current_research", "methodology", "review", "general")

WINDOW = 2048
"""Characters read at each end of a text: what is asked stands at the beginning or at the end, documents in between."""

MOST_FOREIGN, SAMPLE = 1.25, 256
"""Bytes of UTF-8 a character, among the first: in a text with more of them its words are sooner found by a search."""

STEM = 4
_beginning = itemgetter(slice(0, STEM))

# What is asked of a domain says more than the domain: "latest metabolomics methods" wants something recent. Only the
# web knows what is new, so recency weighs most; the order also settles ties.
_WEIGHTS = {"current_research": 3.0, "review": 2.0, "methodology": 1.5, "metabolomics": 1.0}

TOLD_APART = tuple(_WEIGHTS)
"""The kinds a question is found to be of; what is none of them is general."""

_WORD = re.compile(r"[\w-]+")
# Tables of bytes: small letters, and blanks for what ends a word; in CPython one for text costs ten times as much. Where nothing
# is searched for, a control character ends none.
_ENDING = frozenset(string.punctuation) - {"_", "-"}
_ASCII, _FOREIGN = bytes(range(128)), bytes(range(128, 256))
_SIGNS = bytes(32 if chr(code) in _ENDING else code for code in _ASCII).lower() + _FOREIGN
_APART = bytes(code if _WORD.fullmatch(chr(code)) else 32 for code in _ASCII).lower() + _FOREIGN
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
        self._topics = tuple(terms)
        self._words: dict[str, set[str]] = {}
        for term, topic in whole:
            self._words.setdefault(term, set()).add(topic)
        self._stems: dict[str, list[tuple[str, str]]] = {}
        for term, topic in listed:
            if term.endswith("*"):
                self._add_stem(term[:-1], topic)
        self._firsts, self._beginnings = frozenset(self._words.keys() | self._phrases.keys()), frozenset(self._stems)

    def _add_stem(self, stem: str, topic: str) -> None:
        if len(stem) < STEM:
            raise ValueError(f"the beginning of a word has at least {STEM} letters: {stem}*")
        self._stems.setdefault(stem[:STEM], []).append((stem, topic))

    def found(self, text: str, words: Collection[str]) -> dict[str, int]:
        """Return how many different terms of a topic a text, and its words, contain, for each topic of which it has any.

        A year from 2024 on counts as recency.
        """
        counts: dict[str, int] = {}
        if known := self._firsts.intersection(words):
            self._count_whole(text, known, counts)
        if self._beginnings.intersection(map(_beginning, words)):
            self._count_stems(frozenset(words), counts)
        if "20" in text and _NEW_YEAR.search(text):
            counts["current_research"] = counts.get("current_research", 0) + 1
        return counts

    def count(self, text: str, words: Collection[str]) -> dict[str, int]:
        """Return the same for every topic there is."""
        return {**dict.fromkeys(self._topics, 0), **self.found(text, words)}

    def _count_whole(self, text: str, known: frozenset[str], counts: dict[str, int]) -> None:
        for word in known:
            for topic in self._words.get(word, ()):
                counts[topic] = counts.get(topic, 0) + 1
        if phrases := self._phrases.keys() & known:
            lower = text.lower()
            for phrase, topic in (each for word in phrases for each in self._phrases[word]):
                if phrase in lower:
                    counts[topic] = counts.get(topic, 0) + 1

    def _count_stems(self, words: frozenset[str], counts: dict[str, int]) -> None:
        for word in words:
            for stem, topic in self._stems.get(word[:STEM], ()):
                if word.startswith(stem):
                    counts[topic] = counts.get(topic, 0) + 1


DEFAULT_VOCABULARY = Vocabulary(DEFAULT_TERMS)

EMBEDDED = 16
NO_EMBEDDING = (0.0,) * EMBEDDED
"""A text without an embedding counts as an average one: the vector keeps its form when the extra is not installed."""


def window(text: str) -> str:
    """Return the beginning and the end of a text: all of it up to 4,096 characters."""
    return text if len(text) <= 2 * WINDOW else f"{text[:WINDOW]}\n{text[-WINDOW:]}"


def topics(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> dict[str, int]:
    """Return how many terms of each topic a text contains; a year from 2024 on counts as recency."""
    seen = window(text)
    return vocabulary.count(seen, _split(seen))


def words_of(text: str) -> frozenset[str]:
    """Return the different words of a text, in lower case."""
    return frozenset(_split(text))


def _split(text: str) -> list[str]:
    """Its words as they come: what `_WORD` finds, mostly without a search for it."""
    if text.isascii():
        return text.encode("ascii").translate(_SIGNS).decode("ascii").split()
    lower = text.lower()
    sample = lower[:SAMPLE]
    if len(sample.encode("utf-8", "surrogatepass")) > MOST_FOREIGN * len(sample):
        return _WORD.findall(lower)
    said = lower.encode("utf-8", "surrogatepass")
    plain = said.translate(_APART).decode("utf-8", "surrogatepass")
    for sign in set(said.translate(None, _ASCII).decode("utf-8", "surrogatepass")):
        if not sign.isalnum():
            plain = plain.replace(sign, " ")
    return plain.split()


def kind_of(counts: Mapping[str, int], kinds: Iterable[str] = _WEIGHTS) -> str:
    """Return the kind with the most weighted terms, or 'general' when none was found."""
    best, most = "general", 0.0
    for kind in kinds:
        score = _WEIGHTS.get(kind, 1.0) * counts.get(kind, 0)
        if score > most:
            best, most = kind, score
    return best


def classify(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> str:
    """Return the kind of a question, one of KINDS."""
    return kind_of(topics(text, vocabulary))


def hand_features(text: str, vocabulary: Vocabulary = DEFAULT_VOCABULARY) -> dict[str, float]:
    """Return thirteen numbers about a question, each in [0, 1] or nearly, the same for the same text and version."""
    seen = window(text)
    lower = seen.lower()
    words = words_of(seen)
    counts = vocabulary.found(seen, words)
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


USUAL = {
    "length": (0.517, 0.109),
    "digits": (0.013, 0.027),
    "symbols": (0.008, 0.025),
    "capitals": (0.027, 0.026),
    "code": (0.035, 0.183),
    "choices": (0.205, 0.391),
    "parts": (0.377, 0.375),
    "reason": (0.260, 0.439),
    "fact": (0.561, 0.496),
    "yes_no": (0.078, 0.268),
    "recency": (0.0, 0.25),
    "graph": (0.0, 0.25),
    "domain": (0.0, 0.25),
}
"""Mean and spread of each number over 9,202 public questions (ParetoBandit, LLMRouter, RouterArena, PubMedQA). Words of a
topic are rare there and usual elsewhere, so these three count from 0 and by their own measure."""

MOST = 3.0
"""No feature is further than this from its mean: a strange question is strange, not decisive."""

OF_A_KIND = 2.0
"""What belonging to a kind counts as a feature: in a regression that shrinks by 10 it is believed after 2 to 3 answers."""

LEANING = 0.1
"""How much better the web is believed to be, until answers have shown it, at a question all about what is new."""


EMBEDDING_NAMES = tuple(f"embedding_{i}" for i in range(EMBEDDED))


def embedding_in(features: tuple[float, ...]) -> dict[str, float]:
    """Return the embedding's part of what a strategy went by, by name and to four digits; nothing where there is none."""
    own = features[len(USUAL) : len(USUAL) + EMBEDDED]
    return {name: round(value, 4) for name, value in zip(EMBEDDING_NAMES, own, strict=False)} if any(own) else {}


class Describer:
    """Turns a text into its kind and its features: the hand-made numbers, a static embedding if there is one, its kind.

    `kinds` are those told apart, without the general one; `embed` gives the fixed number of `dimensions` of a text, each
    of unit spread. The same text gives the same numbers, in this version.
    """

    def __init__(
        self,
        vocabulary: Vocabulary = DEFAULT_VOCABULARY,
        kinds: tuple[str, ...] = TOLD_APART,
        embed: Callable[[str], tuple[float, ...]] | None = None,
    ) -> None:
        self.vocabulary, self.kinds, self._embed = vocabulary, kinds, embed

    @property
    def embeds(self) -> bool:
        """Is there an embedding?"""
        return self._embed is not None

    def kind(self, text: str) -> str:
        """Return the kind of a question."""
        seen = text if len(text) <= 2 * WINDOW else window(text)
        found = self.vocabulary.found(seen, _split(seen))
        return kind_of(found, self.kinds) if found else "general"

    @property
    def names(self) -> tuple[str, ...]:
        """What each feature is."""
        return (*USUAL, *EMBEDDING_NAMES, *(f"kind_{kind}" for kind in self.kinds))

    def features(self, text: str, kind: str) -> tuple[float, ...]:
        """Return what a learning strategy goes by."""
        own = self._embed(text) if self._embed else NO_EMBEDDING
        return self._together(hand_features(text, self.vocabulary), own, kind)

    def recalled(self, recorded: Mapping[str, float], kind: str) -> tuple[float, ...]:
        """Return the same from numbers that were recorded; nothing where they are not all there."""
        if not recorded.keys() >= USUAL.keys():
            return ()
        own = tuple(recorded.get(name, 0.0) for name in EMBEDDING_NAMES)
        return self._together(recorded, own, kind)

    def _together(self, numbers: Mapping[str, float], embedding: tuple[float, ...], kind: str) -> tuple[float, ...]:
        hand = [max(-MOST, min(MOST, (numbers[name] - mean) / spread)) for name, (mean, spread) in USUAL.items()]
        return (*hand, *embedding, *[OF_A_KIND if kind == one else 0.0 for one in self.kinds])


def leanings(backend_type: str, size: int) -> dict[int, float]:
    """Return what is believed of each place of a vector (1, then the features) before a backend of this type answered.

    Recency words lean to web search, words about relations to a knowledge graph.
    """
    name = {"perplexity": "recency", "lightrag": "graph"}.get(backend_type)
    return {} if name is None or size <= len(USUAL) else {1 + list(USUAL).index(name): LEANING * USUAL[name][1]}


def _saturated(count: int) -> float:
    return count / (count + 1.0)
