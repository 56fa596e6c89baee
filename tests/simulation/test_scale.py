"""Eight gateways of one fleet against one process: money is exact however rarely they speak, ejection is as late as that."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.scale.fleet import play
from bench.scale.story import Plan, Told

ONE = Plan(backends=60, replicas=1, questions=6000, rate=200.0, ill=3, settling=8.0, seed=7, strategy="health_aware")
FLEETS: dict[str, float | None] = {"shipped": None, "every 5 s": 5.0, "never": math.inf}


@pytest.fixture(scope="module")
def told() -> dict[str, Told]:
    """The same questions to one process and to each fleet."""
    fleets = {name: replace(ONE, replicas=8, every=every) for name, every in FLEETS.items()}
    return {name: play(plan) for name, plan in {"one": ONE, **fleets}.items()}


def test_no_budget_is_overshot_however_rarely_they_speak(told: dict[str, Told]) -> None:
    """Not by a nano-dollar; and as shipped nearly all of it can be spent, by whoever asks."""
    assert [name for name, of in told.items() if of.left < 0] == []
    assert told["one"].left < 0.01 * ONE.limit
    assert told["shipped"].left < 0.03 * ONE.limit
    assert told["never"].left > 0.1 * ONE.limit


def test_whoever_cannot_speak_refuses_rather_than_guesses(told: dict[str, Told]) -> None:
    """Refused in vain: nobody as shipped, many where slices come rarely or never."""
    vain = {name: of.figures(told["one"])["refused in vain"] for name, of in told.items()}
    assert vain["shipped"] < 0.02
    assert vain["shipped"] < vain["every 5 s"] < vain["never"]


def test_an_ill_backend_is_shunned_by_all_once_one_has_found_out(told: dict[str, Told]) -> None:
    """What others have seen saves attempts; who hears nothing must find out alone."""
    found = {name: of.figures(told["one"]) for name, of in told.items()}
    assert found["one"]["shunned by all"] == found["shipped"]["shunned by all"] == ONE.ill
    assert found["never"]["shunned by all"] < ONE.ill
    assert found["one"]["failures"] <= found["shipped"]["failures"] < found["never"]["failures"]
    assert {name: of["failed"] for name, of in found.items() if of["failed"] > 5} == {}


def test_shares_stay_those_of_one_process(told: dict[str, Told]) -> None:
    """By pace of the backends: each gateway measures for itself, and finds the same."""
    assert {name: share for name, of in told.items() if (share := of.figures(told["one"])["elsewhere"]) > 0.1} == {}
