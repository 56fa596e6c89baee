"""How often the semantic cache gives another question's answer, and how often it finds the same question in other words.

    python -m bench.cache.semantic --data DIR --pairs fow_cache-0.1.0-py3-none-any.whl     (or: make bench-cache DATA= PAIRS=)

Two things are measured, both with the product's own code (`equipoise.semantic.nearness`):

1. Labelled pairs (`--pairs`): 600 questions with a rewording (same answer) or a trap (a number, negation, name, direction or
   scope differs), from the PyPI package fow-cache 0.1.0 (CC BY 4.0, Mabon ap Gwyn): `pip download --no-deps fow-cache`.
   Written and labelled by language models, a sample checked by a person: the best labelled set that is to be had here, not
   what people typed.
2. Real questions (`--data`): thousands of questions that people really wrote (LLMRouter, ParetoBandit, RouterArena,
   PubMedQA), all different, all kept at once; each is asked as if it were new. Whatever is found is another question, so
   every find is printed, to be read.

Everything is split in halves by a digest. The threshold is chosen on the first half and reported on the other: the one with
the most rewordings found among those with at most 0.5 % of traps and 0.1 % of real questions wrong; within one point of
that, the highest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from equipoise.core.intake import NO_HINTS
from equipoise.core.model import Message, Question, Request
from equipoise.core.routing import CacheOptions
from equipoise.semantic import load_embedding
from equipoise.semantic.nearness import Asked, Nearness, NearnessOptions

THRESHOLDS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.99)
LOWEST = THRESHOLDS[0]
MOST_TRAPS, MOST_REAL, SLACK = 0.005, 0.001, 0.01
PAIRS_FILE = "fow_cache/data/pairs.jsonl"
OPTIONS = CacheOptions()


class Pair(NamedTuple):
    """A kept question, a new one, whether one answer is right for both, and what kind of pair it is."""

    name: str
    kind: str
    kept: str
    new: str
    same: bool


class Found(NamedTuple):
    """Likeness of the two, and the highest threshold at which the product gives the kept answer (-1: at none)."""

    likeness: float
    given: float


def half(name: str) -> int:
    """0 to choose by, 1 to report on."""
    return hashlib.blake2b(name.encode()).digest()[0] % 2


def pairs_of(path: Path) -> list[Pair]:
    """The labelled pairs, from the wheel or its JSONL file."""
    text = zipfile.ZipFile(path).read(PAIRS_FILE).decode() if path.suffix == ".whl" else path.read_text()
    rows = [json.loads(line) for line in text.split("\n") if line]
    return [Pair(row["id"], row["category"], row["a"], row["b"], row["same_answer"]) for row in rows]


def questions_of(data: Path) -> list[str]:
    """Every different question of the four collections, in a fixed order."""
    found: dict[str, None] = {}
    for name, field in (("llmrouter/default_query_train", "query"), ("paretobandit/val", "prompt"), ("routerarena/gemini-2.0-flash-001", "question")):  # fmt: skip
        lines = (data / f"{name}.jsonl").read_text().split("\n")
        found |= dict.fromkeys(json.loads(line)[field] for line in lines if line)
    found |= dict.fromkeys(
        row["QUESTION"] for row in json.loads((data / "pubmedqa/ori_pqal.json").read_text()).values()
    )
    return list(found)


class Bench:
    """The product's index, asked by text."""

    def __init__(self) -> None:
        self.direction: Callable[[str], Any] = load_embedding().direction

    def fresh(self) -> Nearness:
        return Nearness(self.direction, NearnessOptions(LOWEST, most_entries=100_000, most_bytes=2**30))

    def asked(self, nearness: Nearness, text: str) -> Asked | None:
        return nearness.asked(Request(id="r", question=Question(messages=[Message("user", text)])), NO_HINTS, OPTIONS)

    def pair(self, pair: Pair) -> Found:
        nearness = self.fresh()
        kept, new = self.asked(nearness, pair.kept), self.asked(nearness, pair.new)
        if kept is None or new is None:
            return Found(-1.0, -1.0)
        nearness.add(b"kept", kept)
        given = next((likeness for _, likeness in nearness.nearest(new)), -1.0)
        return Found(float(kept.direction @ new.direction), given)

    def real(self, questions: Iterable[str]) -> tuple[dict[str, tuple[Found, str]], dict[str, int]]:
        """For each question that stands alone: how it and another real one were found alike, and which that is."""
        nearness = self.fresh()
        asked = {text: found for text in questions if (found := self.asked(nearness, text)) is not None}
        for text, found in asked.items():
            nearness.add(text.encode(), found)
        likeness = np.stack([found.direction for found in asked.values()])
        nearest = [float(np.partition(row @ likeness.T, -2)[-2]) for row in likeness]
        told: dict[str, tuple[Found, str]] = {}
        for (text, found), most in zip(asked.items(), nearest, strict=True):
            other = next(((key, near) for key, near in nearness.nearest(found) if key != text.encode()), (b"", -1.0))
            told[text] = Found(most, other[1]), other[0].decode()
        return told, dict(nearness.refused)


def share(found: Iterable[float], threshold: float) -> tuple[int, int]:
    values = list(found)
    return sum(value >= threshold for value in values), len(values)


def shown(counts: tuple[int, int]) -> str:
    hits, of = counts
    return f"{100 * hits / max(1, of):5.1f} % ({hits}/{of})"


def table(pairs: list[tuple[Pair, Found]], real: list[Found]) -> None:
    print(
        "  threshold | near repeats        rewordings          traps               real questions    | likeness alone: traps, real"
    )
    for threshold in THRESHOLDS:
        kinds = [
            share((found.given for pair, found in pairs if pair.kind == "near_repeat"), threshold),
            share((found.given for pair, found in pairs if pair.kind == "paraphrase"), threshold),
            share((found.given for pair, found in pairs if not pair.same), threshold),
            share((found.given for found in real), threshold),
        ]
        alone = [
            share((found.likeness for pair, found in pairs if not pair.same), threshold),
            share((found.likeness for found in real), threshold),
        ]
        print(
            f"  {threshold:9.2f} | "
            + "  ".join(f"{shown(each):18}" for each in kinds)
            + " | "
            + ", ".join(map(shown, alone))
        )


def chosen(pairs: list[tuple[Pair, Found]], real: list[Found]) -> float:
    """The threshold by the rule above, on the half to choose by."""

    def rate(values: Iterable[float], threshold: float) -> float:
        hits, of = share(values, threshold)
        return hits / max(1, of)

    allowed = {
        threshold: rate((found.given for pair, found in pairs if pair.same), threshold)
        for threshold in THRESHOLDS
        if rate((found.given for pair, found in pairs if not pair.same), threshold) <= MOST_TRAPS
        and rate((found.given for found in real), threshold) <= MOST_REAL
    }
    return max(threshold for threshold, found in allowed.items() if found >= max(allowed.values()) - SLACK)


def speed(bench: Bench, questions: list[str]) -> None:
    """What a look costs: reading the question, and comparing it with so many kept ones."""
    for kept in (100, 1_000, 5_000):
        nearness = bench.fresh()
        asked = [found for text in questions if (found := bench.asked(nearness, text)) is not None][:kept]
        for number, found in enumerate(asked):
            nearness.add(b"%d" % number, found)
        reading, looking = [], []
        for text in questions[:400]:
            began = time.perf_counter()
            found = bench.asked(nearness, text)
            read = time.perf_counter()
            if found is not None:
                nearness.options = NearnessOptions(0.85)
                list(nearness.nearest(found))
                looking.append(1e6 * (time.perf_counter() - read))
                reading.append(1e6 * (read - began))
        print(
            f"  {len(asked):5} kept: reading {median(reading):4.0f} us, comparing {median(looking):4.0f} us, {nearness.bytes / 1e6:.1f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with llmrouter/, paretobandit/, routerarena/, pubmedqa/")
    parser.add_argument("--pairs", type=Path, help="the wheel of fow-cache 0.1.0, or its pairs.jsonl")
    said = parser.parse_args()
    if said.data is None or said.pairs is None or not said.data.is_dir() or not said.pairs.is_file():
        sys.exit(
            "semantic cache: not measured; name the data with --data DIR and --pairs FILE (pip download fow-cache)"
        )
    bench = Bench()
    pairs = [(pair, bench.pair(pair)) for pair in pairs_of(said.pairs)]
    questions = questions_of(said.data)
    real, refused = bench.real(questions)
    print(
        f"{len(pairs)} labelled pairs; {len(real)} of {len(questions)} real questions stand alone and are short enough"
    )
    for number, name in enumerate(("to choose by", "to report on")):
        print(f"half {name}:")
        own = [found for text, (found, _) in real.items() if half(text) == number]
        table([each for each in pairs if half(each[0].name) == number], own)
    threshold = chosen(
        [each for each in pairs if half(each[0].name) == 0],
        [found for text, (found, _) in real.items() if half(text) == 0],
    )
    print(f"threshold chosen on the first half: {threshold}")
    print(f"near real questions that were told apart, by what differs: {refused}")
    print(f"real questions answered with another's answer at {LOWEST} or more:")
    for text, (found, other) in real.items():
        if found.given >= LOWEST and text < other:
            print(f"  {found.given:.3f} {text[:110]!r} = {other[:110]!r}")
    wrong = [(pair, found) for pair, found in pairs if not pair.same and found.given >= LOWEST]
    print(f"traps answered at {LOWEST} or more: {len(wrong)}")
    for pair, found in wrong:
        print(f"  {found.given:.3f} {pair.kind}, half {half(pair.name)}: {pair.kept!r} = {pair.new!r}")
    speed(bench, questions)


if __name__ == "__main__":
    main()
