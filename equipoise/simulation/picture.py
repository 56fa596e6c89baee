"""A run as a picture: in letters for a terminal, or as SVG for a page. State is never told by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from equipoise.simulation.story import BUCKETS, Story

LEVELS = " ▁▂▃▄▅▆▇█"
STATES = {"closed": "·", "half_open": "?", "open": "█"}
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#555555")
"""Okabe and Ito's palette, which colour-blind people can tell apart."""
WIDTH, LEFT, TALL, LOW = 900, 130, 120, 22


def in_letters(story: Story) -> list[str]:
    """Shares of traffic, 95th percentile and breakers over time, a character for a sixtieth of it."""
    traffic = story.traffic()
    totals = [sum(counts) for counts in zip(*traffic.values(), strict=True)] or [0] * BUCKETS
    width = max(len(name) for name in (*traffic, "quality"))
    lines = [f"  traffic over {_time(story.lasted)}, each row full at 100 %"]
    for name, counts in traffic.items():
        shares = [count / total if total else 0.0 for count, total in zip(counts, totals, strict=True)]
        lines.append(f"  {name:<{width}} |{_bars(shares, 1.0)}|")
    seconds = story.slowest()
    top = max((value for value in seconds if value is not None), default=0.0)
    lines.append(f"  {'p95':<{width}} |{_bars([value or 0.0 for value in seconds], top)}| up to {top:.1f} s")
    qualities = [value or 0.0 for value in story.qualities()]
    lines.append(f"  {'quality':<{width}} |{_bars(qualities, 1.0)}| full at 1")
    for name, shares in story.spending().items():
        lines.append(f"  budget {name}, full when it is spent")
        lines.append(f"  {'':<{width}} |{_bars(shares, 1.0)}| {shares[-1]:.0%} at the end")
    lanes = story.lanes()
    if lanes:
        lines.append("  breakers: · closed, ? half open, █ open")
    lines += [f"  {name:<{width}} |{''.join(STATES[state] for state in lane)}|" for name, lane in lanes.items()]
    return lines


def as_svg(stories: Sequence[Story]) -> str:
    """The same for all strategies below each other, as one SVG document without scripts or outside references."""
    parts, y = [], 10
    for story in stories:
        drawn = _panel(story, y)
        parts.append(drawn)
        y += 3 * TALL + LOW * 2 + LOW * (len(story.lanes()) + 3) + 20
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {y}" font-family="sans-serif" font-size="13">'
    return f'{head}<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'


def _bars(values: Sequence[float], top: float) -> str:
    steps = len(LEVELS) - 1
    return "".join(LEVELS[min(steps, round(steps * value / top))] if top else " " for value in values)


def _time(seconds: float) -> str:
    return (
        f"{seconds / 3600:.1f} h"
        if seconds >= 7200
        else f"{seconds / 60:.0f} min"
        if seconds >= 120
        else f"{seconds:.0f} s"
    )


def _panel(story: Story, top: int) -> str:
    numbers = story.as_dict()
    p95 = numbers["seconds"]["p95"]
    title = f"{story.strategy}: {numbers['answered']} of {numbers['questions']} answered" + (
        f", p95 {p95:.1f} s, ${numbers['cost_usd']}" if p95 is not None else ""
    )
    drawn = [f'<text x="10" y="{top + 14}" font-weight="bold">{escape(title)}</text>']
    drawn.append(_shares(story, top + LOW))
    drawn.append(_seconds(story, top + 2 * LOW + TALL))
    drawn.append(_levels(story, top + 3 * LOW + 2 * TALL))
    drawn.append(_lanes(story, top + 5 * LOW + 3 * TALL))
    return "".join(drawn)


def _shares(story: Story, top: int) -> str:
    """Stacked shares of traffic, each backend named at its colour."""
    traffic = story.traffic()
    totals = [sum(counts) for counts in zip(*traffic.values(), strict=True)] or [0] * BUCKETS
    below = [0.0] * BUCKETS
    drawn = []
    for number, (name, counts) in enumerate(traffic.items()):
        above = [b + (c / t if t else 0.0) for b, c, t in zip(below, counts, totals, strict=True)]
        edge = [(_x(i), top + TALL * (1.0 - value)) for i, value in enumerate(above)]
        back = [(_x(i), top + TALL * (1.0 - value)) for i, value in reversed(list(enumerate(below)))]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*edge, *back))
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(f'<polygon points="{points}" fill="{colour}"><title>{escape(name)}</title></polygon>')
        drawn.append(f'<rect x="10" y="{top + 18 * number}" width="10" height="10" fill="{colour}"/>')
        drawn.append(f'<text x="26" y="{top + 18 * number + 10}">{escape(name[:14])}</text>')
        below = above
    return "".join(drawn)


def _seconds(story: Story, top: int) -> str:
    seconds = story.slowest()
    most = max((value for value in seconds if value is not None), default=1.0)
    label = f'<text x="10" y="{top + 12}">p95, to {most:.1f} s</text>'
    return label + _base(top) + _line(seconds, most, top, "#333")


def _levels(story: Story, top: int) -> str:
    """Quality, and the share of each budget that is spent, between 0 and 1; each line is named at its colour."""
    lines: list[tuple[str, Sequence[float | None]]] = [("quality", story.qualities())]
    lines += [(f"spent: {name}", shares) for name, shares in story.spending().items()]
    drawn = [_base(top)]
    for number, (name, values) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        drawn.append(_line(values, 1.0, top, colour))
        drawn.append(f'<rect x="10" y="{top + 18 * number}" width="10" height="3" fill="{colour}"/>')
        drawn.append(f'<text x="26" y="{top + 18 * number + 8}">{escape(name[:16])}</text>')
    return "".join(drawn)


def _base(top: int) -> str:
    return f'<line x1="{LEFT}" y1="{top + TALL}" x2="{LEFT + WIDTH}" y2="{top + TALL}" stroke="#999"/>'


def _line(values: Sequence[float | None], most: float, top: int, colour: str) -> str:
    points = " ".join(
        f"{_x(i):.1f},{top + TALL * (1.0 - min(1.0, value / most)):.1f}"
        for i, value in enumerate(values)
        if value is not None
    )
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _lanes(story: Story, top: int) -> str:
    drawn = []
    for row, (name, lane) in enumerate(story.lanes().items()):
        y = top + row * LOW
        drawn.append(f'<text x="10" y="{y + 12}">{escape(name[:14])}</text>')
        marks = "".join(STATES[state] for state in lane)
        drawn.append(
            f'<text x="{LEFT}" y="{y + 12}" textLength="{WIDTH}" font-family="monospace">{escape(marks)}</text>'
        )
    return "".join(drawn)


def _x(bucket: int) -> float:
    return LEFT + WIDTH * bucket / (BUCKETS - 1)
