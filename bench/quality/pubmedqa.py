"""How well the rules tell supported answers from others: `python -m bench.quality.pubmedqa --data DIR`.

PubMedQA (labelled): the conclusion of each of 500 papers is an answer to the question in its title. It is scored against
its own abstract and against the abstract of the most similar other paper, which is what a retriever would bring by
mistake. The area under the ROC curve is the share of (right, wrong) pairs in which the right one scores higher.

RGB (Chen et al. 2024), where DIR/rgb/*.json is there: JSON lines with `query`, `answer`, `positive` and `positive_wrong`
(the same passages with another entity or number in the answer's place). The answer is scored against either.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from equipoise.core.model import Answer, Citation
from equipoise.scoring import words
from equipoise.scoring.answered import Answered
from equipoise.scoring.dimensions import relevance, substance, support
from equipoise.scoring.score import score

PAPERS = 500
TARGETS = {"support": 0.95, "milliseconds": 1.0, "rgb": 0.90}


class Pair(NamedTuple):
    """A question, an answer, the passages that bear it out and those that do not."""

    question: str
    answer: str
    right: list[str]
    wrong: list[str]


def main() -> int:
    """Measure and print; 0 when every target that could be measured is reached, 1 if not, 2 without data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    paper_pairs, rgb_pairs = pubmedqa(data), rgb(data)
    if not paper_pairs and not rgb_pairs:
        print(f"neither pubmedqa/ori_pqal.json nor rgb/*.json in {data}: nothing to measure", file=sys.stderr)
        return 2
    missed = (report_papers(paper_pairs) if paper_pairs else 0) + (report_rgb(rgb_pairs) if rgb_pairs else 0)
    if not rgb_pairs:
        print("\nRGB: no DIR/rgb/*.json, not measured")
    return int(missed > 0)


def pubmedqa(data: Path) -> list[Pair]:
    """Each paper with its most similar other one; empty without the file."""
    places = (data / "pubmedqa" / "ori_pqal.json", data / "ori_pqal.json")
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        return []
    papers: list[dict[str, Any]] = list(json.loads(place.read_text("utf-8")).values())[:PAPERS]
    nearest = nearest_others([words.meaning(words.words(" ".join(paper["CONTEXTS"]))) for paper in papers])
    return [
        Pair(paper["QUESTION"], paper["LONG_ANSWER"], paper["CONTEXTS"], papers[other]["CONTEXTS"])
        for paper, other in zip(papers, nearest, strict=True)
    ]


def nearest_others(texts: Sequence[frozenset[str]]) -> list[int]:
    """For each text the other one that shares the rarest words with it, in proportion to its size."""
    in_how_many = Counter(word for text in texts for word in text)
    rarity = {word: math.log(len(texts) / count) for word, count in in_how_many.items()}

    def shared(one: int, other: int) -> float:
        return sum([rarity[word] for word in texts[one] & texts[other]]) / math.sqrt(len(texts[other]) + 1)

    places = range(len(texts))
    return [max((other for other in places if other != one), key=lambda other: shared(one, other)) for one in places]


def rgb(data: Path) -> list[Pair]:
    """Every line that has counterfactual passages."""
    found: list[Pair] = []
    for file in sorted((data / "rgb").glob("*.json")):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line) if line.strip() else {}
            if row.get("positive") and row.get("positive_wrong"):
                found.append(Pair(row["query"], first(row["answer"]), row["positive"], row["positive_wrong"]))
    return found


def first(answer: Any) -> str:
    """An answer as text; of several spellings the first."""
    while isinstance(answer, list):
        answer = answer[0] if answer else ""
    return str(answer)


def auc(right: Iterable[float], wrong: Iterable[float]) -> float:
    """Return the area under the ROC curve; ties count half (Mann and Whitney)."""
    marked = sorted([(value, 1) for value in right] + [(value, 0) for value in wrong])
    positives = sum(mark for _, mark in marked)
    ranks, place = 0.0, 0
    while place < len(marked):
        end = place
        while end < len(marked) and marked[end][0] == marked[place][0]:
            end += 1
        ranks += sum(mark for _, mark in marked[place:end]) * (place + end + 1) / 2
        place = end
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(marked) - positives))


def answered(pair: Pair, contexts: list[str]) -> Answered:
    return Answered(pair.question, Answer(text=pair.answer, contexts=contexts))


def lexical(of: Answered) -> float:
    """Lexical precision alone: the share of the answer's words that stand in the sources."""
    return len(of.meaning & of.support.words) / max(1, len(of.meaning)) if of.support else 0.0


def topical(question: str, answer: str) -> float:
    of = Answered(question, Answer(text=answer))
    return relevance(of, substance(of)).value


def report_papers(pairs: list[Pair]) -> int:
    """Print the table; returns how many targets were missed."""
    right, wrong = ([answered(pair, getattr(pair, side)) for pair in pairs] for side in ("right", "wrong"))
    whole = [auc([of(it) for it in right], [of(it) for it in wrong]) for of in (lexical, lambda it: support(it).value)]
    composite = auc(
        [score(pair.question, Answer(text=pair.answer, contexts=pair.right)).value for pair in pairs],
        [score(pair.question, Answer(text=pair.answer, contexts=pair.wrong)).value for pair in pairs],
    )
    others = [pair.answer for pair in pairs[1:]] + [pairs[0].answer]
    off_topic = auc(
        [topical(pair.question, pair.answer) for pair in pairs],
        [topical(pair.question, other) for pair, other in zip(pairs, others, strict=True)],
    )
    taken = sorted(timed(pairs))
    print(f"PubMedQA: {len(pairs)} conclusions, own abstract against the most similar other one\n")
    rows = [
        ("lexical precision, AUC", whole[0], f">= {TARGETS['support']}", whole[0] >= TARGETS["support"]),
        (
            "support (min with numbers and names), AUC",
            whole[1],
            f">= {TARGETS['support']}",
            whole[1] >= TARGETS["support"],
        ),
        ("composite of all dimensions, AUC", composite, "", True),
        ("relevance, own conclusion against another's, AUC", off_topic, "", True),
        (
            "CPU milliseconds an answer, all dimensions, median",
            statistics.median(taken),
            "<= 1",
            taken[len(taken) // 2] <= 1,
        ),
        ("CPU milliseconds an answer, 99th percentile", taken[int(0.99 * len(taken))], "", True),
    ]
    return sum(not shown(*row) for row in rows)


def shown(name: str, value: float, target: str, reached: bool) -> bool:
    print(f"  {name:<52} {value:8.3f}   {target:<8} {'' if not target else 'reached' if reached else 'MISSED'}")
    return reached


def timed(pairs: list[Pair]) -> list[float]:
    """CPU milliseconds to score each answer with its sources and a citation."""
    found = []
    for pair in pairs:
        cited = [
            Citation(number, title="paper", file="p.txt", snippet=text[:500])
            for number, text in enumerate(pair.right, 1)
        ]
        answer = Answer(text=f"{pair.answer} [1]", contexts=pair.right, citations=cited)
        began = time.thread_time()
        score(pair.question, answer)
        found.append((time.thread_time() - began) * 1e3)
    return found


def report_rgb(pairs: list[Pair]) -> int:
    """Print the table; returns how many targets were missed."""
    value = auc(
        [support(answered(pair, pair.right)).value for pair in pairs],
        [support(answered(pair, pair.wrong)).value for pair in pairs],
    )
    print(f"\nRGB: {len(pairs)} answers, their passages against counterfactual ones\n")
    return int(not shown("support, AUC", value, f">= {TARGETS['rgb']}", value >= TARGETS["rgb"]))


if __name__ == "__main__":
    sys.exit(main())
