"""Things side by side: quality against cost, estimates with their uncertainty, shares, rungs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from equipoise.dashboard.figures.frame import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, picture, series
from equipoise.dashboard.figures.scale import Scale, ticks, top_of
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.wording import number, percent, usd

SMALL = 480.0
"""Units of a picture that stays readable on a phone without being moved."""


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A backend among others: dollars an answer, quality in [0, 1], answers, where a click leads, its colour."""

    name: str
    cost: float
    quality: float
    answers: int
    link: str = ""
    place: int = 0


def frontier(spots: Sequence[Spot]) -> list[Spot]:
    """Those that none is both cheaper than and at least as good as, or better than at no more: from cheap to dear."""
    found: list[Spot] = []
    for spot in sorted(spots, key=lambda spot: (spot.cost, -spot.quality)):
        if not found or spot.quality > found[-1].quality:
            found.append(spot)
    return found


def scatter(label: str, spots: Sequence[Spot]) -> Markup:
    """Cost to the right, quality upwards, the area of a bubble its traffic; the frontier is drawn."""
    x = Scale(0.0, top_of([spot.cost for spot in spots]) * 1.1, LEFT, WIDTH - RIGHT)
    low = math.floor(max(0.0, min([spot.quality for spot in spots] or [0.0]) - 0.08) * 10) / 10
    y = Scale(low, 1.0, HEIGHT - BOTTOM - 14, TOP + 14)
    best = frontier(spots)
    path = "".join(f"{'L' if i else 'M'}{x(s.cost)} {y(s.quality)}" for i, s in enumerate(best))
    most = max([spot.answers for spot in spots] or [1]) or 1
    bubbles = [_bubble(spot.place, spot, x, y, most, optimal=spot in best) for spot in spots]
    return picture(
        label, _cost_axis(x), _quality_axis(y), tag("path", class_="frontier", d=path or None), bubbles, links=True
    )


def _bubble(index: int, spot: Spot, x: Scale, y: Scale, most: int, *, optimal: bool) -> Markup:
    cx, cy, r = x(spot.cost), y(spot.quality), round(5 + 15 * math.sqrt(spot.answers / most), 1)
    told = f"{spot.name}: quality {spot.quality:.3f}, {usd(spot.cost)} an answer, {number(spot.answers)} answers"
    right = cx + r + 130 < WIDTH
    place = {"x": round(cx + r + 4, 1)} if right else {"x": round(cx - r - 4, 1)}
    word = tag(
        "text",
        spot.name[:22] + ("" if optimal else " (dominated)"),
        class_="spot" if right else "spot end",
        y=cy + 4,
        **place,
    )
    shape = tag("circle", class_=f"bubble {series(index)}{'' if optimal else ' dominated'}", cx=cx, cy=cy, r=r)
    return tag("a", tag("title", told), shape, word, href=spot.link or None, aria_label=told)


def _cost_axis(x: Scale) -> Markup:
    base = HEIGHT - BOTTOM - 14
    words = [tag("text", usd(v), class_="tick middle", x=x(v), y=base + 16) for v in ticks(x.high, 0.0, 5)]
    return join([tag("line", class_="axis", x1=LEFT, x2=WIDTH - RIGHT, y1=base, y2=base), words,
                 tag("text", "dollars an answer →", class_="tick end", x=WIDTH - RIGHT, y=base + 32)])  # fmt: skip


def _quality_axis(y: Scale) -> Markup:
    found = ticks(1.0, y.low, 4)
    return join([[tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=y(v), y2=y(v)) for v in found],
                 [tag("text", f"{v:.2g}", class_="tick end", x=LEFT - 6, y=y(v) + 4) for v in found],
                 tag("text", "↑ quality", class_="tick", x=2, y=TOP)])  # fmt: skip


class Estimate(msgspec.Struct, frozen=True):
    """A value with an interval around it (None: not known yet), and its colour."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    told: str = ""
    place: int = 0


def estimates(label: str, rows: Sequence[Estimate], low: float = 0.0, high: float = 1.0) -> Markup:
    """One row each: a bar from low to high, a dot at the value, its number behind."""
    height = 24.0 * len(rows) + TOP + BOTTOM
    x = Scale(low, high, 150.0, SMALL - 60)
    found = ticks(high, low, 4)
    grid = [tag("line", class_="grid", x1=x(v), x2=x(v), y1=TOP, y2=height - BOTTOM) for v in found]
    words = [tag("text", number(v), class_="tick middle", x=x(v), y=height - BOTTOM + 15) for v in found]
    return picture(
        label,
        grid,
        words,
        [_estimate(x, TOP + 24.0 * i + 12, row.place, row) for i, row in enumerate(rows)],
        height=height,
        width=SMALL,
    )


def _estimate(x: Scale, y: float, index: int, row: Estimate) -> Markup:
    name = tag("text", row.name[:22], class_="tick end", x=142, y=y + 4)
    if row.value is None:
        return join([name, tag("text", "not enough data", class_="tick", x=x(x.low) + 6, y=y + 4)])
    bar = None
    if row.low is not None and row.high is not None:
        bar = tag("line", class_=f"interval {series(index)}", x1=x(row.low), x2=x(row.high), y1=y, y2=y)
    told = tag(
        "title",
        f"{row.name}: {row.value:.3f}"
        + (f", {row.low:.3f} to {row.high:.3f}" if bar and row.low is not None else "")
        + f" {row.told}",
    )
    dot = tag("circle", class_=f"dot {series(index)}", cx=x(row.value), cy=y, r=4.5)
    return tag("g", told, name, bar, dot, tag("text", number(row.value), class_="tick", x=SMALL - 54, y=y + 4))


def gauge(label: str, spent: float, reserved: float, alerts: Sequence[float]) -> Markup:
    """A budget as a bar: spent, then promised, with a notch at each alert; shares of the limit."""
    x = Scale(0.0, max(1.0, spent + reserved), 0.0, 300.0)
    notches = [tag("line", class_="level", x1=x(at), x2=x(at), y1=0, y2=14) for at in (*alerts, 1.0)]
    kind = "bad" if spent >= 1.0 else "warn" if alerts and spent >= min(alerts) else "good"
    bars = [tag("rect", class_="rail", x=0, y=3, width=300, height=8),
            tag("rect", class_=f"gauge {kind}", x=0, y=3, width=x(spent), height=8),
            tag("rect", class_="gauge promised", x=x(spent), y=3, width=round(x(spent + reserved) - x(spent), 1), height=8)]  # fmt: skip
    return tag(
        "svg",
        bars,
        notches,
        viewBox="0 0 300 14",
        class_="gauge-box",
        role="img",
        aria_label=f"{label}: {percent(spent)} spent",
    )


def ladder(label: str, rungs: Sequence[float], share: float, stage: str) -> Markup:
    """The rungs of a rollout in percent; those passed are full, the present one has a ring."""
    x = Scale(0.0, max(1.0, len(rungs) - 1.0), 40.0, WIDTH - 40)
    line = tag("line", class_="axis", x1=x(0), x2=x(len(rungs) - 1.0), y1=34, y2=34)
    return picture(label, line, [_rung(x(float(i)), rung, share, stage) for i, rung in enumerate(rungs)], height=80)


def _rung(x: float, rung: float, share: float, stage: str) -> Markup:
    passed, here = rung < share, rung == share and share > 0
    word = "passed" if passed else stage if here else ""
    ring = tag("circle", class_="ring", cx=x, cy=34, r=14) if here else None
    return join([ring, tag("circle", class_=f"rung {'full' if passed or here else 'empty'}", cx=x, cy=34, r=9),
                 tag("text", f"{rung:g} %", class_="tick middle", x=x, y=14), tag("text", word, class_="tick middle", x=x, y=66)])  # fmt: skip
