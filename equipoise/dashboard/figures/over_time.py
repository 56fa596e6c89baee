"""Values over time: lines, and shares piled up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import TypeAlias

from equipoise.dashboard.figures.frame import BOTTOM, BROAD, TOP, WIDTH, Frame, Mark, Written, legend, picture, series
from equipoise.dashboard.figures.scale import top_of
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.wording import clock, instant

Points: TypeAlias = Sequence[tuple[float, float | None]]
"""Moments (Unix seconds, rising) and values; None is a gap."""


def lines(
    label: str,
    named: Mapping[str, Points],
    begin: float,
    end: float,
    form: Written,
    *,
    marks: Sequence[Mark] = (),
    levels: Mapping[str, float] | None = None,
    high: float | None = None,
    low: float = 0.0,
    gap: float = float("inf"),
    dots: bool = True,
) -> Markup:
    """One line a series, told apart by colour and dash. `levels` are limits across; a line is broken after `gap` seconds."""
    levels = levels or {}
    top = high or top_of([*(v for points in named.values() for _, v in points), *levels.values()])
    frame = Frame(begin=begin, end=end, low=low, high=top)
    drawn = [_line(frame, i, name, points, gap, form, dots=dots) for i, (name, points) in enumerate(named.items())]
    last = [form(latest) if (latest := _latest(points)) is not None else "–" for points in named.values()]
    limits = [_level(frame, name, value) for name, value in levels.items()]
    return join([picture(label, frame.axes(form), limits, frame.marks(marks), drawn), legend(list(named), last)])


def _level(frame: Frame, name: str, value: float) -> Markup:
    y = frame.y(value)
    return join([tag("line", class_="level", x1=frame.left, x2=frame.right, y1=y, y2=y),
                 tag("text", name, class_="tick end", x=frame.right - 2, y=y - 4 if y > TOP + 12 else y + 13)])  # fmt: skip


def _line(frame: Frame, index: int, name: str, points: Points, gap: float, form: Written, *, dots: bool) -> Markup:
    x, y = frame.x, frame.y
    path = " ".join(
        f"M{x(run[0][0])} {y(run[0][1])}" + "".join(f"L{x(t)} {y(v)}" for t, v in run[1:]) for run in runs(points, gap)
    )
    known = [(t, v) for t, v in points if v is not None]
    shown = [_dot(frame, index, name, t, v, form) for t, v in known] if dots and len(known) <= 120 else None
    return tag("g", tag("path", class_=f"line {series(index)}", d=path or None), shown)


def _dot(frame: Frame, index: int, name: str, moment: float, value: float, form: Written) -> Markup:
    title = tag("title", f"{name} {instant(moment)}: {form(value)}")
    return tag("circle", title, class_=f"dot {series(index)}", cx=frame.x(moment), cy=frame.y(value), r=2.2)


def runs(points: Points, gap: float) -> list[list[tuple[float, float]]]:
    """Stretches without a hole: neither a missing value nor more than `gap` seconds between two."""
    found: list[list[tuple[float, float]]] = []
    before: float | None = None
    for moment, value in points:
        if value is None:
            before = None
            continue
        if before is None or moment - before > gap:
            found.append([])
        found[-1].append((moment, value))
        before = moment
    return found


def _latest(points: Points) -> float | None:
    return next((value for _, value in reversed(points) if value is not None), None)


def piled(
    label: str,
    named: Mapping[str, Mapping[float, float]],
    begin: float,
    end: float,
    step: float,
    form: Written,
    *,
    marks: Sequence[Mark] = (),
    share: bool = False,
    wide: bool = False,
) -> Markup:
    """One bar a step, a part for each series, from the bottom up in their order; `share` makes all bars equally high."""
    moments = sorted({t for values in named.values() for t in values if begin <= t <= end})
    heights = {t: [values.get(t, 0.0) for values in named.values()] for t in moments}
    if share:
        heights = {t: [v / (sum(row) or 1.0) for v in row] for t, row in heights.items()}
    top = 1.0 if share else top_of([sum(row) for row in heights.values()])
    frame = Frame(begin=begin, end=end, high=top, width=BROAD if wide else WIDTH)
    bars = [_bar(frame, t, step, list(named), row, form) for t, row in heights.items()]
    total = sum(sum(values.values()) for values in named.values()) or 1.0
    parts = [f"{100 * sum(values.values()) / total:.0f} %" for values in named.values()]
    return join(
        [
            picture(label, frame.axes(form), bars, frame.marks(marks), width=frame.width),
            legend(list(named), parts, filled=True),
        ]
    )


def _bar(frame: Frame, moment: float, step: float, names: Sequence[str], row: Sequence[float], form: Written) -> Markup:
    left, right = frame.x(moment), frame.x(moment + step)
    width = max(0.8, round(right - left - (0.6 if right - left > 3 else 0.0), 1))
    edges = list(pairwise(accumulate(row, initial=0.0)))
    told = "; ".join(f"{name} {form(value)}" for name, value in zip(names, row, strict=True) if value)
    parts = [
        tag("rect", class_=f"fill {series(i)}", x=left, width=width, y=frame.y(to), height=round(frame.y(of) - frame.y(to), 1))
        for i, (of, to) in enumerate(edges) if to > of
    ]  # fmt: skip
    return tag("g", tag("title", f"{clock(moment)}: {told}"), parts)


def strip(label: str, rows: Mapping[str, Mapping[float, float]], begin: float, end: float, step: float) -> Markup:
    """A heat strip: one row a name, one cell a step, with its count written in where there is room."""
    height = 22.0 * len(rows) + BOTTOM + TOP
    frame = Frame(begin=begin, end=end, height=height, left=150.0, width=BROAD)
    most = max([value for cells in rows.values() for value in cells.values()] or [1.0])
    drawn = [_strip_row(frame, TOP + 22.0 * i, name, cells, step, most) for i, (name, cells) in enumerate(rows.items())]
    return picture(label, frame.moments(), drawn, height=height, width=BROAD)


def _strip_row(frame: Frame, y: float, name: str, cells: Mapping[float, float], step: float, most: float) -> Markup:
    drawn = []
    for moment, value in sorted(cells.items()):
        if not value or not frame.begin <= moment <= frame.end:
            continue
        left, width = frame.x(moment), max(1.5, frame.x(moment + step) - frame.x(moment) - 0.5)
        level = min(4, 1 + int(3.999 * value / most))
        title = tag("title", f"{name} {clock(moment)}: {value:g}")
        drawn.append(tag("rect", title, class_=f"heat h{level}", x=left, y=y + 2, width=round(width, 1), height=17))
    return join([tag("text", name[:24], class_="tick end", x=frame.left - 6, y=y + 15), drawn])
