"""The bets behind a canary: fair whatever the rates are, exact to the digit, and composable."""

from __future__ import annotations

import itertools
import math
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.betting import KEPT, ODDS, PARTS, PUT_IN, Block, Level, Wager, log_gain

RATES = st.floats(0.001, 0.999)
VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6)


def expectation(rate: float, other: float, sizes: tuple[int, int], level: float, odds: float) -> float:
    """The exact mean of what a block multiplies a stake by, over all Bernoulli outcomes."""
    total = 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=sum(sizes)):
        control, candidate = outcome[: sizes[0]], outcome[sizes[0] :]
        chance = math.prod(rate if y else 1 - rate for y in control)
        chance *= math.prod(other if y else 1 - other for y in candidate)
        total += chance * math.exp(log_gain(control, candidate, level, odds))
    return total


@given(RATES, RATES, RATES, st.sampled_from(ODDS), st.integers(1, 5), st.integers(1, 3))
def test_no_bet_on_harm_gains_by_a_candidate_that_is_no_worse(
    a: float, b: float, level: float, odds: float, controls: int, candidates: int
) -> None:
    """The exact expectation over all outcomes is at most 1, for any two rates, level, odds and sizes of a block."""
    rate, other = max(a, b), min(a, b)
    assert expectation(rate, other, (controls, candidates), level, odds) <= 1 + 1e-9
    assert expectation(other, rate, (controls, candidates), level, 1 / odds) <= 1 + 1e-9


def test_a_true_harm_makes_the_purse_grow() -> None:
    """With the rates that are bet on, the mean of the logarithm is the divergence of two rates from one."""
    level, odds = 0.1, 2.25  # odds of 1/9 times 2.25 are 1/4: a rate of 0.2
    common = (3 * 0.1 + 0.2) / 4
    divergence = 3 * _kl(0.1, common) + _kl(0.2, common)
    mean = 0.0
    for outcome in itertools.product((0.0, 1.0), repeat=4):
        chance = math.prod(0.1 if y else 0.9 for y in outcome[:3]) * (0.2 if outcome[3] else 0.8)
        mean += chance * log_gain(outcome[:3], outcome[3:], level, odds)
    assert mean == pytest.approx(divergence, rel=1e-12)


def _kl(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def test_a_block_by_hand() -> None:
    """Control at 0.1 answers 0, candidate at 0.2 errs: θ0 = 0.15, so 0.9/0.85 times 0.2/0.15."""
    assert math.exp(log_gain([0.0], [1.0], 0.1, 2.25)) == pytest.approx(0.9 / 0.85 * 0.2 / 0.15)


def test_the_purse_by_hand() -> None:
    """After two blocks: each bet's stake with both gains, what was put in before each, and what is still kept."""
    wager, blocks = Wager.fresh(), (([0.0] * 7, [1.0]), ([0.0, 1.0], [0.0]))
    for control, candidate in blocks:
        wager.play(control, candidate, 0.05, worse=True)
    total = KEPT * (1 - PUT_IN) ** 2
    for part, odds in zip(PARTS, ODDS, strict=True):
        first, second = (math.exp(log_gain(*block, 0.05, odds)) for block in blocks)
        put_in = KEPT * PUT_IN * part
        total += (1 - KEPT) * part * first * second + put_in * first * second + put_in * (1 - PUT_IN) * second
    assert math.exp(wager.log_e()) == pytest.approx(total, rel=1e-12)


def test_the_parts_are_the_whole_purse() -> None:
    """Before any block the purse holds exactly 1."""
    assert sum(PARTS) == pytest.approx(1.0)
    assert Wager.fresh().log_e() == pytest.approx(0.0, abs=1e-12)


@given(st.lists(st.tuples(VALUES, VALUES), max_size=6), st.lists(st.tuples(VALUES, VALUES), max_size=6))
def test_two_purses_merge_to_one(first: list[tuple[list[float], list[float]]], then: list) -> None:
    """Merged, it holds what it would hold had one process played all blocks in turn."""
    one, two, whole = Wager.fresh(), Wager.fresh(), Wager.fresh()
    for block in first:
        one.play(*block, 0.3, worse=True)
        whole.play(*block, 0.3, worse=True)
    for block in then:
        two.play(*block, 0.3, worse=True)
        whole.play(*block, 0.3, worse=True)
    one.merge(two)
    assert one.log_e() == pytest.approx(whole.log_e(), rel=1e-9, abs=1e-9)
    assert one.blocks == whole.blocks


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.booleans()), max_size=120))
def test_when_a_block_ends_depends_on_sides_only(values: list[tuple[float, bool]]) -> None:
    """The same sides with other values end the same blocks, each with both sides in it and never too long."""
    ends = []
    for shift in (0.0, 0.5):
        block, ended = Block.fresh(), []
        for number, (value, candidate) in enumerate(values):
            if block.take((value + shift) % 1.0, candidate=candidate):
                assert block.control
                assert block.candidate
                assert max(len(block.control), len(block.candidate)) <= 32
                ended.append(number)
                block.clear()
        ends.append(ended)
    assert ends[0] == ends[1]


@given(st.lists(st.floats(0.0, 1.0), max_size=30), st.lists(st.floats(0.0, 1.0), max_size=30))
def test_levels_merge(first: list[float], then: list[float]) -> None:
    """The merged mean is that of all values with the one guess."""
    guess = Level(0.2, 20.0)
    one, two, whole = Level(0.2, 20.0), Level(0.2, 20.0), Level(0.2, 20.0)
    for value in first:
        one.take(value)
        whole.take(value)
    for value in then:
        two.take(value)
        whole.take(value)
    one.merge(two, guess)
    assert one.mean == pytest.approx(whole.mean)
    assert one.weight == pytest.approx(whole.weight)


def test_harm_that_begins_late_is_found_too() -> None:
    """After a thousand good blocks the bets are worth little; what was kept back still finds one error in four."""
    chance, wager = random.Random(4), Wager.fresh()
    for _ in range(1000):
        wager.play([float(chance.random() < 0.02) for _ in range(9)], [float(chance.random() < 0.02)], 0.02, worse=True)
    bets = [product for product in wager.products if product > math.log(1e-3)]
    assert len(bets) < len(ODDS)
    played = 0
    while wager.log_e() < math.log(33):
        wager.play([0.0] * 9, [float(chance.random() < 0.25)], 0.02, worse=True)
        played += 1
    assert played < 150


def test_a_purse_survives_being_written_down() -> None:
    """To plain data and back it is the same to the last bit."""
    wager = Wager.fresh()
    wager.play([0.1, 0.2], [0.9], 0.3, worse=False)
    again = msgspec.convert(msgspec.json.decode(msgspec.json.encode(wager)), Wager)
    assert again == wager
