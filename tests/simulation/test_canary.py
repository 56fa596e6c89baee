"""Canaries in simulation, by the bench's own traffic with fewer runs: good ones stay, bad ones go, soon."""

from __future__ import annotations

import statistics

from bench.canary.traffic import Story, told


def test_good_candidates_are_rarely_rolled_back_however_often_one_looks() -> None:
    """Forty of them, a look after every request: at most two, where a peeked z-test rolls back eight."""
    runs = [told(Story(name="same", requests=2500), seed) for seed in range(40)]
    assert sum(one.after is not None for one in runs) <= 2
    assert sum(one.peeked is not None for one in runs) >= 8


def test_bad_candidates_are_found_soon() -> None:
    """Errors four times as many within 150 of the candidate's questions, answers half as slow again within 150."""
    for story in (
        Story(name="errors", requests=6000, errors=(0.025, 0.10)),
        Story(name="latency", requests=6000, slower=1.5),
        Story(name="quality", requests=9000, quality_lost=0.1),
    ):
        after = [told(story, seed).after for seed in range(15)]
        found = [one for one in after if one is not None]
        assert len(found) >= 14, story.name
        assert statistics.median(found) <= 150, story.name
