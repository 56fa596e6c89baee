"""Pictures: values stand where they should, and any numbers make a well-formed picture."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.dashboard.figures.compared import Estimate, Spot, estimates, frontier, gauge, ladder, scatter
from equipoise.dashboard.figures.frame import Frame, Mark
from equipoise.dashboard.figures.lanes import Stay, lanes
from equipoise.dashboard.figures.over_time import lines, piled, runs, strip
from equipoise.dashboard.figures.scale import Scale, ceiling, ticks, time_ticks, top_of
from equipoise.dashboard.wording import number, percent, seconds, usd

values = st.one_of(st.none(), st.floats(0, 1e12, allow_nan=False))
names = st.text(max_size=30)
NAN = float("nan")


def parsed(*drawn: str) -> ElementTree.Element:
    """As a strict parser reads it."""
    return ElementTree.fromstring(f"<all>{''.join(drawn)}</all>")


@given(st.floats(1e-9, 1e15))
def test_a_scale_ends_at_a_round_number_just_above(value: float) -> None:
    """No smaller than the value, and less than three times it."""
    top = ceiling(value)
    assert value * (1 - 1e-9) <= top < 2.6 * value
    assert math.isclose(float(f"{top:.2g}"), top)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_marks_lie_within_and_are_few(low: float, width: float) -> None:
    """At most six marks of an axis."""
    found = ticks(low + width, low)
    assert len(found) <= 6
    slack = 1e-6 * (abs(low) + width)
    assert all(low - slack <= tick <= low + width + slack for tick in found)


@given(st.integers(0, 2 * 10**9), st.floats(1, 1e8))
def test_moments_are_few(begin: int, length: float) -> None:
    """However long the range."""
    found = time_ticks(begin, begin + length)
    assert len(found) <= 24
    assert all(begin <= moment <= begin + length for moment in found)


def test_places_are_proportional_and_never_off_the_paper() -> None:
    """Half-way is half-way; beyond is at the edge; what is no number is at the start."""
    scale = Scale(0, 10, 100, 200)
    assert [scale(value) for value in (0, 5, 10, 99, -5, NAN)] == [100, 150, 200, 200, 100, 100]
    assert Scale(3, 3, 1, 2)(3) == 1


def test_higher_values_are_higher_up() -> None:
    """The paper's y goes down."""
    frame = Frame(begin=0, end=1, high=10)
    assert frame.y(10) < frame.y(5) < frame.y(0)


def test_a_line_is_broken_where_nothing_is_known() -> None:
    """A missing value, and a long silence."""
    points = [(0, 1.0), (1, 2.0), (2, None), (3, 1.0), (60, 4.0)]
    assert runs(points, 10) == [[(0, 1.0), (1, 2.0)], [(3, 1.0)], [(60, 4.0)]]


@given(st.dictionaries(names, st.lists(st.tuples(st.floats(0, 3600), values), max_size=8), max_size=12), names)
def test_any_lines_make_a_picture(named: dict[str, list[tuple[float, float | None]]], words: str) -> None:
    """Well-formed, with its sentence, whatever names and numbers come."""
    marks = [Mark(5.0, words, "bad"), Mark(-5.0, "before")]
    root = parsed(lines("a picture", named, 0, 3600, number, marks=marks, levels={words: 3.0}))
    (image,) = (
        root.iter("{http://www.w3.org/2000/svg}svg")
        if root.find(".//{http://www.w3.org/2000/svg}svg") is not None
        else ()
    )
    assert image.get("aria-label") == "a picture"
    assert len(root.findall(".//li")) == len(named)


@given(st.dictionaries(names, st.dictionaries(st.floats(0, 3600), st.floats(0, 1e9), max_size=6), max_size=12))
def test_any_piles_make_a_picture(named: dict[str, dict[float, float]]) -> None:
    """Bars and heat strips alike."""
    parsed(piled("a pile", named, 0, 3600, 60, number), piled("shares", named, 0, 3600, 60, percent, share=True))
    parsed(strip("a strip", named, 0, 3600, 60))


def test_parts_of_a_pile_add_up() -> None:
    """The parts of one bar stand on each other."""
    drawn = piled("p", {"a": {0.0: 30.0}, "b": {0.0: 70.0}}, 0, 60, 60, number)
    bars = [
        part
        for part in parsed(drawn).iter("{http://www.w3.org/2000/svg}rect")
        if part.get("y") and "fill" in part.get("class", "")
    ]
    first, second = ((float(bar.get("y", 0)), float(bar.get("height", 0))) for bar in bars)
    assert first[0] == pytest.approx(second[0] + second[1], abs=0.11)
    assert second[1] / first[1] == pytest.approx(70 / 30, rel=0.01)
    assert "30 %" in drawn
    assert "70 %" in drawn


def test_the_frontier_leaves_out_who_is_dearer_and_no_better() -> None:
    """From cheap to dear, ever better."""
    spots = [
        Spot(name=n, cost=c, quality=q, answers=1)
        for n, c, q in (("a", 1, 0.5), ("b", 2, 0.4), ("c", 3, 0.9), ("d", 3, 0.8))
    ]
    assert [spot.name for spot in frontier(spots)] == ["a", "c"]
    assert "b (dominated)" in scatter("s", spots)
    assert "a (dominated)" not in scatter("s", spots)


@given(st.lists(st.tuples(names, st.floats(0, 100), st.floats(0, 1), st.integers(0, 10**9)), max_size=8))
def test_any_spots_make_a_picture(rows: list[tuple[str, float, float, int]]) -> None:
    """None, one, many."""
    parsed(scatter("s", [Spot(name=n, cost=c, quality=q, answers=a) for n, c, q, a in rows]))


def test_breakers_are_told_by_shape_and_word() -> None:
    """Open is a block with its name; closed is a thin line."""
    drawn = lanes(
        "l",
        {"web <1>": [Stay("closed", 0, 1000), Stay("open", 1000, 3000, "3 failures"), Stay("half_open", 3000, 3600)]},
        0,
        3600,
    )
    heights = [part.get("height") for part in parsed(drawn).iter("{http://www.w3.org/2000/svg}rect")]
    assert heights == ["4", "20", "20"]
    assert ">open<" in drawn
    assert "3 failures" in drawn


def test_estimates_say_when_nothing_is_known() -> None:
    """A value without data is not drawn at zero."""
    drawn = estimates("e", [Estimate("a", None, None, None), Estimate("b", 0.5, 0.25, 0.75)])
    assert drawn.count("<circle") == 1
    assert "not enough data" in drawn
    parsed(drawn, gauge("g", 0.5, 0.1, (0.7,)), ladder("l", [5, 25, 100], 25, "running"))


def test_top_of_nothing_is_one() -> None:
    """An empty picture has a scale too."""
    assert top_of([None, 0.0]) == 1.0


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (seconds(0.0005), "0.5 ms"), (seconds(0.9999), "1.00 s"), (seconds(60), "60 s"), (seconds(7200), "2.0 h"), (seconds(300), "5 min"),
        (usd(0), "$0.00"), (usd(0.00042), "$0.00042"), (usd(1234.5), "$1,234.50"), (usd(None), "–"),
        (number(20_000), "20k"), (number(1234), "1,234"), (number(0.12345), "0.123"), (percent(0.005), "0.5 %"), (percent(1.0), "100 %"),
    ],
)  # fmt: skip
def test_numbers_are_written_for_people(told: str, meant: str) -> None:
    """Units spelt, no more figures than are worth reading."""
    assert told == meant
