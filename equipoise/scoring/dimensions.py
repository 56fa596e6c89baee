"""The four dimensions of the specification, each with how far it could be known.

None of them is a judge: length, vocabulary and number of sources earn nothing. What cannot be known is unknown, not 0.
"""

from __future__ import annotations

import re

import msgspec

from equipoise.scoring import words
from equipoise.scoring.answered import Answered, Passage

DIRECT = 5
"""Words of meaning up to which an answer may be too short to repeat anything of its question ("Paris.")."""

_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able|afraid)|i (?:cannot|can't|could not|couldn't|do not|don't) "
    r"(?:know|help|answer|provide|find|have|assist|determine)|(?:unable|not able) to (?:answer|provide|find|determine)|"
    r"(?:no|not enough|insufficient|lacks?(?: the)?|without) (?:relevant |sufficient |enough |specific |necessary )?"
    r"(?:information|context|data|results|documents?)|(?:does|do|did) not (?:contain|provide|include|mention|have) "
    r"(?:any |enough |sufficient |the )?(?:relevant |specific |necessary )?(?:information|context|data|answer|details)|"
    r"(?:the|this|these|your|no) (?:provided |given |retrieved |available |supplied |above |cited )*"
    r"(?:context|documents?|passages?|sources?|texts?|excerpts?|abstracts?|search results?)(?: provided| given)? "
    r"(?:says? nothing|(?:does|do|did)(?: not|n't) (?:say|mention|contain|address|answer|cover|discuss|specify|state|provide|include)|"
    r"(?:is|are) (?:silent|not (?:sufficient|enough))|(?:mentions?|contains?|addresses|provides?) (?:nothing|no ))|"
    r"as an ai(?: language)? model)"
)
_PART = re.compile(
    r"[?;]+\s*|,?\s+and\s+(?=(?:what|who|when|where|why|how|which|whose)\b)|\n+\s*(?:[-*•]|\(?\w[).])\s+"
)
_SEPARATED = re.compile(r"[.,;:!?\n|()]")
_WANTS_FACT = frozenset(("what", "who", "when", "where", "which", "whose", "how"))
PARAPHRASE = 0.6
CUT_SHORT, FILTERED = 0.3, 0.1
REFUSED, HEDGED, ECHOED, ELSEWHERE = 0.05, 0.5, 0.2, 0.25


class Dimension(msgspec.Struct, frozen=True):
    """A value in [0, 1] and how far it could be known, from 0 (not at all) to 1."""

    value: float
    coverage: float


UNKNOWN = Dimension(0.0, 0.0)


def substance(of: Answered) -> float:
    """How far this is an answer at all, 0 to 1: not a refusal, not a heap of words, not the question again."""
    if of.has_tool_calls:
        return 1.0
    if not of.text.strip():
        return 0.0
    return min(_willing(of), _prose(of), _new(of))


def _willing(of: Answered) -> float:
    """A refusal at the beginning; a long text after it may answer all the same."""
    found = _REFUSAL.search(of.text[:240].lower())
    if found is None:
        return 1.0
    return REFUSED if len(of.meaning) < 40 else HEDGED


def _prose(of: Answered) -> float:
    """Whether the words form a text: neither the same ones again and again, nor a row of terms without grammar.

    Where the question shows no English grammar either, nothing is concluded. Lists and code have separators instead.
    """
    said = of.words
    if len(said) < 12:
        return 1.0
    repeated = _freshness(said[:200])
    grammar = sum([word in words.STOP_WORDS for word in said]) / len(said)
    asks_in_english = any(word in words.STOP_WORDS for word in of.asked_words)
    if grammar >= 0.2 or not asks_in_english or len(_SEPARATED.findall(of.text)) * 5 >= len(said):
        return repeated
    return min(repeated, max(0.1, grammar / 0.2))


def _freshness(said: list[str]) -> float:
    """1 for a text, falling to 0 as runs of three words come again and again: in prose hardly one in twenty does."""
    runs = list(zip(said, said[1:], said[2:], strict=False))
    return min(1.0, max(0.0, (len(set(runs)) / len(runs) - 0.2) / 0.5))


def _new(of: Answered) -> float:
    """A question of fact is not answered by its own words."""
    if of.asked_words[:1] and of.asked_words[0] in _WANTS_FACT and of.meaning and of.meaning <= of.asked:
        return 1.0 if words.numbers(of.text) - words.numbers(of.question) else ECHOED
    return 1.0


def relevance(of: Answered, guard: float, closeness: float | None = None) -> Dimension:
    """Whether the answer speaks of what was asked; `guard` is its substance, `closeness` an embedding's opinion in [0, 1].

    A guard, not a measure: half of the question's terms are as good as all of them, and a direct answer of a few words
    need repeat none, so of that little is known. Sources that know nothing of whom or what the question names are about
    something else.
    """
    if of.has_tool_calls or not of.asked:
        return UNKNOWN
    shared = len(of.asked & of.meaning) / len(of.asked)
    spoken = max(min(1.0, 0.2 + 1.6 * shared), closeness or 0.0)
    if _elsewhere(of):
        return Dimension(guard * spoken * ELSEWHERE, 1.0)
    if guard < 1.0:
        return Dimension(guard * spoken, 1.0)
    if len(of.meaning) <= DIRECT:
        return Dimension(1.0, 0.5)
    return Dimension(spoken, 1.0)


def _elsewhere(of: Answered) -> bool:
    """Does nothing that the question names occur in the sources or the answer? Without sources nothing is concluded."""
    if of.support is None or not (named := words.proper_names(of.question)):
        return False
    return named.isdisjoint(of.support.facts) and named.isdisjoint(of.words)


def support(of: Answered) -> Dimension:
    """Support by the sources that came along: the smaller of the shares of its words, and of its numbers and names, found
    there. Without sources it is unknown. It says nothing of whether the sources are right.
    """
    passage = of.support
    if passage is None or of.has_tool_calls:
        return UNKNOWN
    value = supported(of.text, of.meaning, passage)
    if value is None:
        return UNKNOWN
    return Dimension(value, 1.0 if of.contexts else 0.5)  # a snippet is not the page


def supported(text: str, said: frozenset[str], passage: Passage) -> float | None:
    """The smaller of lexical precision and the match of numbers and names; None when nothing checkable is said.

    Of an honest paraphrase half the words stand in its source (median of PubMedQA's conclusions), so PARAPHRASE of them
    count as all. A single fact that is missing halves the match at most: names have more spellings than one.
    """
    facts = words.numbers(text) | words.names(text)
    if not said and not facts:
        return None
    found = sum([fact in passage.facts or words.stem(fact) in passage.words for fact in facts])
    lexical = min(1.0, len(said & passage.words) / len(said) / PARAPHRASE) if said else 1.0
    return min(lexical, (found + 1) / (len(facts) + 1))


def completeness(of: Answered) -> Dimension:
    """Whether every part of the question was taken up, and whether the answer came to its end. Its length counts nothing."""
    if of.has_tool_calls:
        return UNKNOWN
    ended = {"length": CUT_SHORT, "content_filter": FILTERED}.get(of.finish_reason, 1.0)
    pieces = _PART.split(of.question.lower())
    parts = [words.meaning(words.words(piece)) for piece in pieces] if len(pieces) > 1 else []
    own = [_own(number, parts) for number, part in enumerate(parts) if len(part) >= 1]
    own = [part for part in own if part]
    if len(own) < 2:
        return Dimension(min(ended, 1.0 if of.text.strip() else 0.0), 0.5)
    taken_up = sum([not part.isdisjoint(of.meaning) for part in own]) / len(own)
    direct = len(of.meaning) <= DIRECT  # as with relevance: few words need not name what they answer
    return Dimension(min(ended, max(taken_up, 0.5 if direct else 0.0)), 0.5 if direct else 1.0)


def _own(number: int, parts: list[frozenset[str]]) -> frozenset[str]:
    """The terms by which a part of a question differs from its other parts."""
    others: frozenset[str] = frozenset().union(*(part for place, part in enumerate(parts) if place != number))
    return parts[number] - others
