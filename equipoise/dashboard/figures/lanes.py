"""Swimlanes: in which state each of several things was, when, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from equipoise.dashboard.figures.frame import BOTTOM, BROAD, TOP, Frame, picture
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.wording import clock

LANE = 26.0
KINDS = {"closed": "good", "half_open": "warn", "open": "bad"}
WORDS = {"closed": "closed", "half_open": "half", "open": "open"}


class Stay(msgspec.Struct, frozen=True):
    """One state from a moment to another (Unix seconds), and its cause."""

    state: str
    begin: float
    end: float
    why: str = ""


def lanes(label: str, named: Mapping[str, Sequence[Stay]], begin: float, end: float) -> Markup:
    """One lane a name. Closed is a thin line, half-open a dotted block, open a full one: the shape tells, colour helps."""
    height = LANE * len(named) + TOP + BOTTOM
    frame = Frame(begin=begin, end=end, height=height, left=150.0, width=BROAD)
    drawn = [_lane(frame, TOP + LANE * i, name, stays) for i, (name, stays) in enumerate(named.items())]
    return picture(label, frame.moments(), drawn, height=height, width=BROAD)


def _lane(frame: Frame, y: float, name: str, stays: Sequence[Stay]) -> Markup:
    drawn = [_stay(frame, y, name, stay) for stay in stays if stay.end > frame.begin and stay.begin < frame.end]
    return join([tag("text", name[:24], class_="tick end", x=frame.left - 6, y=y + 17), drawn])


def _stay(frame: Frame, y: float, name: str, stay: Stay) -> Markup:
    left, right = frame.x(max(stay.begin, frame.begin)), frame.x(min(stay.end, frame.end))
    kind, width = KINDS.get(stay.state, "calm"), max(1.5, round(right - left, 1))
    title = tag("title", f"{name}: {stay.state.replace('_', '-')} {clock(stay.begin)} to {clock(stay.end)}. {stay.why}")
    thin = stay.state == "closed"
    block = tag("rect", x=left, width=width, y=y + (11 if thin else 3), height=4 if thin else 20)
    word = tag("text", WORDS.get(stay.state, stay.state), class_="middle", x=round(left + width / 2, 1), y=y + 17)
    return tag("g", title, block, word if not thin and width > 34 else None, class_=f"stay {kind}")
