"""How well an answer cites: precision and recall of its marks as in ALCE (Gao et al. 2023), with lexical support."""

from __future__ import annotations

from equipoise.core.model import Citation
from equipoise.scoring import words
from equipoise.scoring.answered import Answered, Passage
from equipoise.scoring.dimensions import UNKNOWN, Dimension, supported

ENOUGH = 0.5
"""Share of a sentence's words, numbers and names that makes its source a support."""

SENTENCES = 24
"""Sentences that are looked at."""

WITHOUT_MARKS = 0.5
"""What sources are worth that support the text but are tied to no sentence of it."""


def citations(of: Answered) -> Dimension:
    """The harmonic mean of precision and recall. Unknown where there is neither a source nor a mark.

    Recall is the share of sentences that what they cite supports; precision the share of marks that lead to a source in
    range, with a good address, that supports its sentence alone or is needed for it. Where sources show no text, only
    range and addresses can be checked.
    """
    if of.has_tool_calls or (not of.citations and not words.marks(of.body)):
        return UNKNOWN
    known = {citation.index: citation for citation in of.citations}
    cited = [(sentence, words.marks(sentence)) for sentence in words.sentences(of.body)[:SENTENCES]]
    if not any(marks for _, marks in cited):
        return _unmarked(of)
    if not of.cited:
        return _formal([mark for _, marks in cited for mark in marks], known)
    return _judged(of, cited, known)


def _formal(marks: list[int], known: dict[int, Citation]) -> Dimension:
    """Are there such sources, with addresses that can be?"""
    return Dimension(sum([is_reachable(known.get(mark)) for mark in marks]) / len(marks), 0.5)


def _unmarked(of: Answered) -> Dimension:
    """Sources beside a text that points to none of them."""
    good = sum(map(is_reachable, of.citations)) / len(of.citations)
    passage = of.support
    value = supported(of.text, of.meaning, passage) if passage is not None else None
    return Dimension(WITHOUT_MARKS * good * (1.0 if value is None else min(1.0, value / ENOUGH)), 0.5)


def _judged(of: Answered, cited: list[tuple[str, list[int]]], known: dict[int, Citation]) -> Dimension:
    passages = {index: Passage(text) for index, text in of.cited.items()}
    claims = good_claims = marks = good_marks = 0
    for sentence, own in cited:
        claim = words.unmarked(sentence)
        said = words.meaning(words.words(claim))
        if not said:
            continue
        held = [mark for mark in dict.fromkeys(own) if mark in passages and is_reachable(known.get(mark))]
        claims += 1
        good_claims += _holds(claim, said, [passages[mark] for mark in held])
        marks += len(set(own))
        good_marks += sum([_needed(claim, said, mark, held, passages) for mark in held])
    recall = good_claims / claims if claims else 0.0
    precision = good_marks / marks if marks else 0.0
    return Dimension(2 * precision * recall / (precision + recall) if precision and recall else 0.0, 1.0)


def _holds(claim: str, said: frozenset[str], passages: list[Passage]) -> bool:
    return bool(passages) and (supported(claim, said, _together(passages)) or 0.0) >= ENOUGH


def _needed(claim: str, said: frozenset[str], mark: int, held: list[int], passages: dict[int, Passage]) -> bool:
    """Alone a support, or the others are none without it."""
    if _holds(claim, said, [passages[mark]]):
        return True
    others = [passages[other] for other in held if other != mark]
    return not _holds(claim, said, others) and _holds(claim, said, [*others, passages[mark]])


def _together(passages: list[Passage]) -> Passage:
    if len(passages) == 1:
        return passages[0]
    both = Passage("")
    both.words = both.words.union(*(passage.words for passage in passages))
    both.facts = both.facts.union(*(passage.facts for passage in passages))
    return both


def is_reachable(citation: Citation | None) -> bool:
    """A source that exists, with a document's name or a web address that can be one."""
    if citation is None or citation.index < 1:
        return False
    if citation.file:
        return True
    return bool(citation.url) and str(citation.url).startswith(("http://", "https://")) and "." in str(citation.url)
