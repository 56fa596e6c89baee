"""Plain rules in place of a large model: terms, a graph and keywords from the words of a text.

A 135-million-parameter model cannot extract a knowledge graph; these rules can, poorly but at once and always alike.
Terms are runs of words between stop words and punctuation, scored by the degrees of their words, as in RAKE (Rose,
Engel, Cramer and Cowley 2010); two terms of one sentence are related.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence

DELIMITER = "<|#|>"
COMPLETE = "<|COMPLETE|>"

STOP_WORD_LINES = """
a about above after again against all also among an and any are as at be because been before being below between
both but by can cannot could did do does doing done during each either every few find finds for found from further
give given gives had has have having he her here him his how however i if in including into is it its itself keep
keeps kept less like made make makes many may me mean means might more most much must my near need needed needs no
nor not of off often on once one only or other our out over own per rather same say says seen she should show showed
shown shows since so some such take taken takes than that the their them then there these they this those through
thus to too two under until up upon use used useful uses using usually very was we well were what when where whether
which while who whom whose why will with within without would yet you your
"""
STOP_WORDS = frozenset(STOP_WORD_LINES.split())

SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])|\n{2,}")
WORD_OR_BREAK = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-/'][A-Za-z0-9]+)*|\d+(?:\.\d+)?|[^\w\s]")


def sentences(text: str) -> list[str]:
    """The sentences of a text, each on one line."""
    return [line for part in SENTENCE_END.split(text) if (line := " ".join(part.split()))]


def runs(sentence: str) -> Iterator[tuple[str, ...]]:
    """Runs of one to three content words, cut at stop words, numbers and punctuation."""
    run: list[str] = []
    for token in [*WORD_OR_BREAK.findall(sentence), "."]:
        content = token[0].isalpha() and len(token) > 1 and token.lower() not in STOP_WORDS
        if run and (len(run) == 3 or not content):
            yield tuple(run)
            run = []
        if content:
            run.append(token)


def term(run: Sequence[str]) -> str:
    """One spelling for a term: words capitalised, abbreviations left as they are."""
    return " ".join(word if any(c.isupper() for c in word[1:]) else word.capitalize() for word in run)


def terms(text: str, limit: int) -> list[str]:
    """The `limit` best terms of a text, best first; equal scores go by name."""
    spelling = {tuple(word.lower() for word in run): term(run) for run in runs(text)}
    scores = scored([tuple(word.lower() for word in run) for run in runs(text)])
    return [spelling[run] for run in sorted(scores, key=lambda run: (-scores[run], run))[:limit]]


def scored(found: Sequence[tuple[str, ...]]) -> dict[tuple[str, ...], float]:
    """RAKE's score of each run, the sum of degree/frequency over its words, times how often the run occurs."""
    frequency = Counter(word for run in found for word in run)
    degree = Counter[str]()
    for run in found:
        for word in run:
            degree[word] += len(run)
    often = Counter(found)
    return {run: often[run] * sum(degree[word] / frequency[word] for word in run) for run in often}


def extraction(text: str, limit: int = 8) -> str:
    """Entity and relation rows of a text in LightRAG's format; a description is the sentence that names the term."""
    names, rows = terms(text, limit), []
    lines = [(line, line.lower()) for line in sentences(text)]
    for name in names:
        first = next((line for line, lower in lines if name.lower() in lower), name)
        rows.append(DELIMITER.join(("entity", name, "Concept", first)))
    rows.extend(relations(names, lines, limit))
    return "\n".join([*rows, COMPLETE])


def relations(names: Sequence[str], lines: Sequence[tuple[str, str]], limit: int) -> list[str]:
    """Rows for pairs of terms that share a sentence, in the order of the text."""
    pairs: dict[tuple[str, str], str] = {}
    for line, lower in lines:
        together = [name for name in names if name.lower() in lower]
        for pair in itertools.combinations(together, 2):
            pairs.setdefault(pair, line)
    return [DELIMITER.join(("relation", *pair, "mentioned together", line)) for pair, line in pairs.items()][:limit]


def keywords(question: str) -> str:
    """The terms of a question as LightRAG's JSON object of high-level and low-level keywords."""
    found = terms(question, 6)
    return json.dumps({"high_level_keywords": found[:2], "low_level_keywords": found})


def summary(descriptions: Sequence[str]) -> str:
    """Different descriptions of one thing, one after the other."""
    return " ".join(dict.fromkeys(descriptions))


def quotation(question: str, passages: Sequence[tuple[str, str]]) -> str:
    """The sentence that shares most words with the question, and the reference of its passage: `... [2]`.

    A passage that has none of them was retrieved for want of a better one; a model would say so.
    """
    wanted = {word.lower() for run in runs(question) for word in run}
    known = [(line, reference) for reference, passage in passages for line in sentences(passage)]

    def shared(pair: tuple[str, str]) -> int:
        return sum(word in pair[0].lower() for word in wanted)

    best = max(known, key=shared, default=None)
    if best is None or (wanted and not shared(best)):
        return "The context says nothing about this."
    return f"{best[0]} [{best[1]}]"
