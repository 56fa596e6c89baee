"""What a canary's evidence comes to, and that it is the same after a restart, a merge or a flood of nonsense."""

from __future__ import annotations

import json
import math
import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.canary import Analysis, Finding, Observation, Rules, measures, table
from equipoise.core.comparison import Comparison, Measure, Moments, interval
from equipoise.core.proportion import CELLS, Proportion
from equipoise.core.rollout import candidate_takes, position

RULES = Rules(measures=measures())


def traffic(
    seed: int, count: int, *, share: float = 0.1, errors: tuple[float, float] = (0.02, 0.02), slow: float = 1.0
):
    """Questions of two sides; latencies are lognormal."""
    chance = random.Random(seed)
    for _ in range(count):
        candidate = chance.random() < share
        failed = chance.random() < errors[candidate]
        seconds = chance.lognormvariate(0.5, 0.8) * (slow if candidate else 1.0)
        yield Observation(
            candidate=candidate,
            failed=failed,
            latency=None if failed else seconds,
            first_token=None if failed else seconds / 4,
            cost=None if failed else seconds * 1e-3,
        )


def found(analysis: Analysis, seen: list[Observation]) -> tuple[Finding, str, int]:
    """The first finding that ends it, its measure, and after how many of the candidate's questions."""
    for observation in seen:
        if analysis.observe(RULES, observation):
            judged = analysis.judge(RULES)
            if judged.finding in (Finding.HARM, Finding.BROKEN, Finding.MISMATCH):
                return judged.finding, judged.measure, analysis.candidate
    return analysis.judge(RULES).finding, "", analysis.candidate


def test_alpha_is_spent_once() -> None:
    """The parts of all measures and of the sample ratio are 0.05 together."""
    total = sum(measure.alpha for measure in RULES.measures.values()) + RULES.ratio_alpha
    assert total == pytest.approx(0.05)


def test_a_worse_candidate_is_found_by_the_measure_that_is_worse() -> None:
    """Errors doubled, and then answers half as fast again."""
    assert found(Analysis.of(RULES), list(traffic(1, 20_000, errors=(0.025, 0.1))))[:2] == (Finding.HARM, "errors")
    finding, measure, after = found(Analysis.of(RULES), list(traffic(2, 20_000, slow=1.5)))
    assert (finding, measure) in {(Finding.HARM, "latency"), (Finding.HARM, "first_token"), (Finding.HARM, "cost")}
    assert after < 300


def test_a_good_candidate_is_shown_to_be_no_worse() -> None:
    """Non-inferiority of both required measures, and no harm found on the way."""
    finding, _, after = found(Analysis.of(RULES), list(traffic(3, 12_000)))
    assert (finding, after > 1000) == (Finding.SAFE, True)


def test_without_evidence_nothing_is_shown() -> None:
    """No difference found is not the same as none: at the start the finding is open, not safe."""
    assert Analysis.of(RULES).judge(RULES).finding is Finding.OPEN
    assert found(Analysis.of(RULES), list(traffic(5, 100)))[0] is Finding.OPEN


def test_the_sentence_is_one_for_people() -> None:
    """Both sides in percent, as Flagger would say it."""
    analysis = Analysis.of(RULES)
    found(analysis, list(traffic(1, 20_000, errors=(0.012, 0.2))))
    judged = analysis.judge(RULES)
    assert judged.message.startswith("candidate errs ")
    assert " % against " in judged.message
    assert judged.e_value >= 1 / RULES.measures["errors"].alpha


def test_a_candidate_that_fails_every_time_is_ended_at_once() -> None:
    """Eight failures in a row while the control answers."""
    analysis = Analysis.of(RULES)
    for _ in range(3):
        analysis.observe(RULES, Observation(candidate=False, latency=1.0))
    for number in range(8):
        assert analysis.judge(RULES).finding is Finding.OPEN, number
        analysis.observe(RULES, Observation(candidate=True, failed=True))
    judged = analysis.judge(RULES)
    assert judged.finding is Finding.BROKEN
    assert judged.message == "candidate failed 8 times in a row while the control answers"


def test_an_outage_of_both_is_not_the_candidates_fault() -> None:
    """When everything fails, nothing is found against anybody, however long it lasts."""
    analysis = Analysis.of(RULES)
    assert found(analysis, list(traffic(6, 4000)))[0] is not Finding.HARM
    assert found(analysis, list(traffic(7, 4000, errors=(0.95, 0.95))))[0] not in (Finding.HARM, Finding.BROKEN)


def sequence(analysis: Analysis, seen: list[Observation], every: int | None) -> list[tuple[Finding, float]]:
    """What is judged after each question; the analysis is written down and read back every so many."""
    judged = []
    for number, observation in enumerate(seen):
        analysis.observe(RULES, observation)
        analysis.assigned(number % CELLS, 0.1, candidate=observation.candidate)
        if every and number % every == 0:
            analysis = msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(analysis))), Analysis)
        found = analysis.judge(RULES)
        judged.append((found.finding, found.e_value))
    return judged


def test_a_restart_changes_no_verdict() -> None:
    """Written to JSON and read back after every seventh question, every judgement is the same to the last bit."""
    seen = list(traffic(8, 1500, errors=(0.02, 0.04)))
    assert sequence(Analysis.of(RULES), seen, every=7) == sequence(Analysis.of(RULES), seen, every=None)


def test_two_processes_judge_as_one() -> None:
    """The merged evidence of two halves is as strong as that of one process, up to one open block."""
    seen = list(traffic(9, 6000, errors=(0.02, 0.06)))
    one, two, whole = Analysis.of(RULES), Analysis.of(RULES), Analysis.of(RULES)
    for number, observation in enumerate(seen):
        (one if number % 2 else two).observe(RULES, observation)
        whole.observe(RULES, observation)
    one.merge(RULES, two)
    assert (one.control, one.candidate) == (whole.control, whole.candidate)
    merged, single = one.comparisons["errors"], whole.comparisons["errors"]
    assert merged.log_harm == pytest.approx(single.log_harm, rel=0.3)
    assert merged.log_harm > math.log(1 / RULES.measures["errors"].alpha)
    assert merged.candidate.mean == pytest.approx(single.candidate.mean)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.booleans()), max_size=60))
def test_nonsense_is_left_out_and_counted(values: list[tuple[float, bool]]) -> None:
    """NaN, infinities and negatives move nothing; whatever comes, the e-values stay numbers."""
    for measure in RULES.measures.values():
        comparison, usable = Comparison.of(measure), 0
        for value, candidate in values:
            comparison.take(measure, value, candidate=candidate)
            usable += math.isfinite(value) and (value > 0 if measure.ratio else 0 <= value <= 1)
        assert comparison.unusable == len(values) - usable
        assert math.isfinite(comparison.log_harm)
        assert math.isfinite(comparison.log_safe)


def test_equal_values_are_no_evidence_of_harm() -> None:
    """A cost that is always the same on both sides: never harm, and in time no worse."""
    measure = RULES.measures["cost"]
    comparison = Comparison.of(measure)
    for number in range(4000):
        comparison.take(measure, 0.002, candidate=number % 10 == 0)
        assert comparison.log_harm <= 1e-9
    assert comparison.log_safe > math.log(20)


def test_a_monstrous_value_weighs_no_more_than_a_slow_one() -> None:
    """One answer after three years does not roll anybody back."""
    measure = RULES.measures["latency"]
    plain, monstrous = Comparison.of(measure), Comparison.of(measure)
    for number, observation in enumerate(o for o in traffic(10, 600) if o.latency):
        value = observation.latency or 1.0
        plain.take(measure, value, candidate=observation.candidate)
        monstrous.take(measure, 1e8 if number == 300 else value, candidate=number == 300 or observation.candidate)
    assert monstrous.log_harm < plain.log_harm + 3.0
    assert monstrous.log_harm < -math.log(measure.alpha)


def test_callers_who_leave_one_side_make_it_incomparable() -> None:
    """A side whose callers hang up hides its slow answers: the sample is not what it should be."""
    analysis, chance = Analysis.of(RULES), random.Random(11)
    seen = [
        Observation(candidate=c, left=chance.random() < (0.3 if c else 0.01), latency=1.0)
        for c in (chance.random() < 0.1 for _ in range(6000))
    ]
    finding, measure, _ = found(analysis, seen)
    assert (finding, measure) == (Finding.MISMATCH, "sample_ratio")


def test_the_split_of_the_product_has_the_right_ratio() -> None:
    """Over many keys the hash gives each side its share; asking again and again counts once."""
    proportion = Proportion()
    for _ in range(3):
        for number in range(20_000):
            key = f"session {number}"
            cell = int(position(key, "cells") / 100 * CELLS)
            proportion.take(cell, 0.1, candidate=candidate_takes(key, 10.0))
    assert proportion.control + proportion.candidate < CELLS
    assert proportion.log_e() < math.log(100)


def test_a_wrong_ratio_is_found() -> None:
    """Seven percent where ten were due."""
    proportion, chance = Proportion(), random.Random(12)
    for cell in range(CELLS):
        proportion.take(cell, 0.1, candidate=chance.random() < 0.07)
    assert proportion.log_e() > math.log(1000)
    assert "sample ratio mismatch" in proportion.told()


def test_a_key_bet_by_hand() -> None:
    """One key on the candidate's side at a share of a half: the mean over all odds of θ/s, θ = κ/(1 + κ)."""
    proportion = Proportion()
    proportion.take(7, 0.5, candidate=True)
    odds = (1 / 2.5, 1 / 1.5, 1 / 1.2, 1 / 1.08, 1.08, 1.2, 1.5, 2.5)
    assert math.exp(proportion.log_e()) == pytest.approx(sum(2 * k / (1 + k) for k in odds) / len(odds))
    assert proportion.log_e() == pytest.approx(0.0)  # the odds are symmetric: one key says nothing


@given(st.lists(st.floats(-1e3, 1e3), max_size=30), st.lists(st.floats(-1e3, 1e3), max_size=30))
def test_moments_merge(first: list[float], then: list[float]) -> None:
    """Count, mean and variance of two parts are those of the whole."""
    one, two, whole = Moments(), Moments(), Moments()
    for value in first:
        one.take(value)
        whole.take(value)
    for value in then:
        two.take(value)
        whole.take(value)
    one.merge(two)
    assert one.count == whole.count
    assert one.mean == pytest.approx(whole.mean, abs=1e-9)
    assert one.variance == pytest.approx(whole.variance, abs=1e-6)


def test_the_interval_by_hand() -> None:
    """Robbins: with information I = 1/se² and r = 1/margin², the radius is √((I + r) ln((I + r)/(r α²)))/I."""
    measure = Measure(name="errors", alpha=0.05, margin=0.1)
    comparison = Comparison.of(measure)
    for number in range(400):
        comparison.take(measure, float(number % 4 == 0), candidate=False)
        comparison.take(measure, float(number % 2 == 0), candidate=True)
    error = 0.25 * 0.75 / 399 + 0.25 / 399
    information = 1 / error
    radius = math.sqrt((information + 100) * math.log((information + 100) / (100 * 0.0025))) / information
    low, high = interval(measure, comparison) or (0.0, 0.0)
    assert (low, high) == pytest.approx((0.25 - radius, 0.25 + radius))
    assert low > 0.0


def test_the_table_says_what_each_measure_needs() -> None:
    """A row a measure; quality as quality, a ratio as seconds, nothing where nothing was seen."""
    analysis = Analysis.of(RULES)
    for observation in traffic(13, 2000):
        analysis.observe(RULES, observation)
        analysis.took(RULES, "quality", 1 - 0.8, candidate=observation.candidate)
    rows = {row["measure"]: row for row in table(RULES, analysis)}
    assert rows["quality"]["candidate"] == pytest.approx(0.8)
    assert 1.0 < float(rows["latency"]["control"] or 0) < 3.0
    assert rows["errors"]["harm_needed"] == pytest.approx(1 / 0.032)
    assert {row["candidate"] for row in table(RULES, Analysis.of(RULES))} == {None}


def test_a_difference_that_does_not_matter_is_no_harm() -> None:
    """Twice as slow within a tenth of a second, and a twentieth slower beyond it: never found, and no worse in time."""
    measure = RULES.measures["latency"]
    for seconds, factor in ((0.005, 2.0), (2.0, 1.05)):
        comparison, chance = Comparison.of(measure), random.Random(14)
        for _ in range(15_000):
            candidate = chance.random() < 0.1
            value = seconds * chance.lognormvariate(0.0, 0.3) * (factor if candidate else 1.0)
            comparison.take(measure, value, candidate=candidate)
            assert comparison.log_harm < -math.log(measure.alpha)
        assert comparison.log_safe > math.log(20)
