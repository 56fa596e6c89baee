"""The paper of a picture: its axes, its marks, its words for those who cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from equipoise.dashboard.figures.scale import Scale, ticks, time_ticks
from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.wording import tick

WIDTH, BROAD, HEIGHT = 560.0, 1180.0, 220.0
"""Units of a picture in half a page and across all of it, and its usual height."""
LEFT, RIGHT, TOP, BOTTOM = 52.0, 10.0, 12.0, 24.0
SERIES = 8
"""Colours (and dashes) there are; what comes after is drawn as the last."""

Written = Callable[[float], str]


class Mark(msgspec.Struct, frozen=True):
    """Something that happened: a line across the picture with a sentence."""

    at: float
    text: str
    kind: str = "calm"


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Axes in time (Unix seconds) and value."""

    begin: float
    end: float
    low: float = 0.0
    high: float = 1.0
    height: float = HEIGHT
    left: float = LEFT
    width: float = WIDTH

    @property
    def x(self) -> Scale:
        """Moments to places."""
        return Scale(self.begin, self.end, self.left, self.right)

    @property
    def right(self) -> float:
        """Where the axis ends."""
        return self.width - RIGHT

    @property
    def y(self) -> Scale:
        """Values to places; larger ones are higher up."""
        return Scale(self.low, self.high, self.height - BOTTOM, TOP)

    def axes(self, form: Written) -> Markup:
        """Both axes with their labels and a thin line at each value."""
        return join([self.rows(form), self.moments()])

    def rows(self, form: Written) -> Markup:
        """The values' axis."""
        y = self.y
        lines = [
            tag("line", class_="grid", x1=self.left, x2=self.right, y1=y(v), y2=y(v))
            for v in ticks(self.high, self.low, 4)
        ]
        labels = [
            tag("text", form(v), class_="tick end", x=self.left - 6, y=y(v) + 4) for v in ticks(self.high, self.low, 4)
        ]
        return join([*lines, *labels])

    def moments(self) -> Markup:
        """The time's axis."""
        span, x, base = self.end - self.begin, self.x, self.height - BOTTOM
        found = time_ticks(self.begin, self.end, 6 if self.width == WIDTH else 12)
        inside = [t for t in found if self.left + 14 <= x(t) <= self.right - 14]
        lines = [tag("line", class_="notch", x1=x(t), x2=x(t), y1=base, y2=base + 4) for t in found]
        return join([tag("line", class_="axis", x1=self.left, x2=self.right, y1=base, y2=base), *lines,
                     *(tag("text", tick(t, span), class_="tick middle", x=x(t), y=base + 17) for t in inside)])  # fmt: skip

    def marks(self, marks: Sequence[Mark]) -> Markup:
        """Lines down the picture, at most forty, each with a flag at its head and its sentence."""
        x = self.x
        return join(
            tag("g", tag("title", mark.text), tag("line", x1=x(mark.at), x2=x(mark.at), y1=TOP, y2=self.height - BOTTOM),
                tag("path", d=f"M{x(mark.at)} {TOP - 8}l4 7h-8z"), class_=f"mark {mark.kind}")
            for mark in marks[-40:] if self.begin <= mark.at <= self.end
        )  # fmt: skip


def picture(label: str, *children: Child, height: float = HEIGHT, width: float = WIDTH, links: bool = False) -> Markup:
    """An SVG image with its one sentence for screen readers; a group instead where `links` are in it."""
    inside = tag(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="group" if links else "img",
        aria_label=label,
        xmlns="http://www.w3.org/2000/svg",
    )
    return tag(
        "div",
        inside,
        class_="picture broad" if width > WIDTH else "picture small" if width < WIDTH else "picture",
        tabindex="0",
        role="group",
        aria_label=f"Picture: {label}",
    )


def legend(names: Sequence[str], values: Sequence[str], *, filled: bool = False) -> Markup:
    """Each series with its colour, its dash, and a number."""
    return tag(
        "ul",
        [_entry(i, name, value, filled) for i, (name, value) in enumerate(zip(names, values, strict=True))],
        class_="legend",
    )


def _entry(index: int, name: str, value: str, filled: bool) -> Markup:
    shape = (
        tag("rect", class_=f"fill {series(index)}", x=1, y=1, width=22, height=10)
        if filled
        else tag("line", class_=f"line {series(index)}", x1=0, x2=24, y1=6, y2=6)
    )
    swatch = tag("svg", shape, viewBox="0 0 24 12", class_="swatch", aria_hidden="true")
    return tag("li", swatch, " ", tag("span", name, class_="name"), " ", tag("span", value, class_="value"))


def series(index: int) -> str:
    """The class that gives a series its colour."""
    return f"s{min(index, SERIES - 1)}"
