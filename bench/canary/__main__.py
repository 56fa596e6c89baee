"""`make bench-canary`: false rollbacks of good candidates, and how soon bad ones are found, by the product's own code.

python -m bench.canary [--runs 2000] [--bad-runs 400] [--processes 2]
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context

from bench.canary.traffic import Story, Told, told

GOOD = Story(name="A/A: a candidate like the control", requests=10_000)
MOST_FALSE, LEAST_FOUND = 0.035, 0.9
BAD: tuple[tuple[Story, int | None], ...] = (
    (Story(name="errors 2.5 % -> 5 %", requests=20_000, errors=(0.025, 0.05)), 500),
    (Story(name="errors 2.5 % -> 10 %", requests=10_000, errors=(0.025, 0.10)), 150),
    (Story(name="errors 0.5 % -> 3 %", requests=10_000, errors=(0.005, 0.03)), None),
    (Story(name="latency x 1.5", requests=10_000, slower=1.5), None),
    (Story(name="quality -5 points (deviation 0.2)", requests=20_000, quality_lost=0.05), None),
    (
        Story(name="quality -5 points (deviation 0.4)", requests=40_000, quality_lost=0.05, quality_deviation=0.4),
        None,
    ),
)


def main() -> None:
    """Run and print; each story says what it wants and whether it got it."""
    options = _options()
    began = time.monotonic()
    with get_context("spawn").Pool(options.processes) as pool:

        def run(story: Story, count: int) -> list[Told]:
            return pool.map(partial(told, story), range(count), chunksize=10)

        _good(GOOD, run(GOOD, options.runs))
        for story, most in BAD:
            _bad(story, most, run(story, options.bad_runs))
    print(f"{time.monotonic() - began:.0f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--bad-runs", type=int, default=400)
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


def _good(story: Story, runs: Sequence[Told]) -> None:
    wrong = sum(one.after is not None for one in runs) / len(runs)
    peeked = sum(one.peeked is not None for one in runs) / len(runs)
    print(f"{story.name}; {len(runs)} runs of {story.requests:,} requests, {story.share:.0%} to the candidate,")
    print("  a look after every request, five measures and the sample ratio together")
    print(f"  false rollbacks {wrong:.2%} (wanted: at most {MOST_FALSE:.1%}): {_met(wrong <= MOST_FALSE)}")
    print(f"  a z-test of the error rates, peeked at on the same runs: {peeked:.1%}")
    print(f"  by measure: {dict(Counter(one.measure for one in runs if one.after is not None)) or 'none'}")


def _bad(story: Story, most: int | None, runs: Sequence[Told]) -> None:
    found = sorted(one.after for one in runs if one.after is not None)
    share = len(found) / len(runs)
    median = found[len(runs) // 2] if len(found) > len(runs) // 2 else None
    print(f"{story.name}; {len(runs)} runs of at most {story.requests:,} requests, {story.share:.0%} to the candidate")
    wanted = f" (wanted: at most {most}): {_met(median is not None and median <= most)}" if most else ""
    print(f"  found after a median of {median} candidate requests{wanted}")
    late = found[int(len(found) * 0.9)] if found else None
    print(f"  nine in ten of these after {late}; found at all {share:.1%} (wanted: 90 %): {_met(share >= LEAST_FOUND)}")


def _met(good: bool) -> str:
    return "met" if good else "MISSED"


if __name__ == "__main__":
    main()
