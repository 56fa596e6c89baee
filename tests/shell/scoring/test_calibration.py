"""Labels bend the curve, and it never falls."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.scoring.calibration import BINS, Calibration, merged, pooled

shares = st.floats(0.0, 1.0)


def test_without_labels_the_rules_only_find_fault() -> None:
    """Without fault an answer is worth the operator's word; below, less in proportion."""
    it = Calibration({"a": 0.9})
    assert it.estimate("a", "general", 0.7).quality == pytest.approx(0.9)
    assert it.estimate("a", "general", 1.0).quality == pytest.approx(0.9)
    assert it.estimate("a", "general", 0.1).quality < 0.3


def test_labels_outweigh_the_operators_word_and_lower_the_doubt() -> None:
    """Two hundred answers without fault that judges find poor."""
    it, chance = Calibration({"a": 0.9}), random.Random(1)
    doubt = it.estimate("a", "general", 0.8).variance
    for _ in range(200):
        it.label("a", "general", chance.uniform(0.7, 0.9), 0.3 + chance.uniform(-0.1, 0.1))
    found = it.estimate("a", "general", 0.8)
    assert found.quality == pytest.approx(0.3, abs=0.05)
    assert found.variance < doubt / 4


def test_kinds_differ_and_lend_each_other_what_they_have() -> None:
    """What is poor for one kind says something of another, less than its own labels do."""
    it = Calibration({"a": 1.0})
    for _ in range(60):
        it.label("a", "review", 0.8, 0.2)
    for _ in range(60):
        it.label("a", "general", 0.8, 0.9)
    review, general, other = (it.estimate("a", kind, 0.8).quality for kind in ("review", "general", "methodology"))
    assert review < 0.3 < other < general
    assert it.estimate("b", "review", 0.8).quality == 1.0


def test_a_label_taken_back_leaves_no_trace() -> None:
    """A better opinion replaces it."""
    it = Calibration({"a": 0.9})
    before = it.estimate("a", "general", 0.8)
    it.label("a", "general", 0.8, 0.1, 4.0)
    it.label("a", "general", 0.8, 0.1, -4.0)
    after = it.estimate("a", "general", 0.8)
    assert after.quality == pytest.approx(before.quality)
    assert after.variance == pytest.approx(before.variance)


@given(st.lists(st.tuples(shares, shares, st.floats(0.1, 5.0)), max_size=60), shares, shares, shares)
def test_a_better_score_is_never_a_worse_estimate(
    labels: list[tuple[float, float, float]], prior: float, low: float, high: float
) -> None:
    """Whatever the labels; estimates stay in range."""
    it = Calibration({"a": prior})
    for score, label, weight in labels:
        it.label("a", "general", score, label, weight)
    first, second = (it.estimate("a", "general", score) for score in sorted((low, high)))
    assert 0.0 <= first.quality <= second.quality + 1e-9 <= 1.0 + 2e-9
    assert first.variance >= 0.0


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 10)), min_size=1, max_size=30))
def test_pooling_is_monotone_keeps_the_mean_and_leaves_the_sorted_alone(rows: list[tuple[float, float]]) -> None:
    """The defining properties of isotonic regression."""
    values, weights = zip(*rows, strict=True)
    found = pooled(values, weights)
    assert all(low <= high + 1e-12 for low, high in pairwise(found))
    assert sum(v * w for v, w in zip(found, weights, strict=True)) == pytest.approx(
        sum(v * w for v, w in rows), rel=1e-9, abs=1e-9
    )
    assert pooled(sorted(values), weights) == sorted(values)


def test_two_processes_keep_their_labels_in_one_place() -> None:
    """Each adds what is new to it; both then know all, and nothing twice."""
    one, two = Calibration({"a": 0.9}), Calibration({"a": 0.9})
    for _ in range(20):
        one.label("a", "general", 0.8, 0.2)
        two.label("a", "general", 0.8, 0.4)
    kept = merged(None, one.take_news())
    kept = merged(kept, two.take_news())
    one.adopt(kept)
    two.adopt(kept)
    assert one.labels("a") == two.labels("a") == 40
    assert one.estimate("a", "general", 0.8) == two.estimate("a", "general", 0.8)
    assert not one.has_news


def test_what_could_not_be_kept_is_new_again() -> None:
    """A full disk loses no label."""
    it = Calibration({"a": 0.9})
    it.label("a", "general", 0.8, 0.2)
    it.give_back(it.take_news())
    it.adopt(merged(None, it.take_news()))
    assert it.labels("a") == 1


def test_a_state_of_another_shape_is_refused() -> None:
    """It is not taken for labels."""
    with pytest.raises(ValueError, match="version"):
        Calibration({}).adopt({"version": 99, "cells": {}})
    cell = {"weight": [1.0] * (BINS + 1), "sum": [1.0] * BINS, "square": [1.0] * BINS}
    with pytest.raises(ValueError, match="version"):
        Calibration({}).adopt({"version": 1, "cells": {"a": {"": cell}}})
