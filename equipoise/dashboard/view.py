"""What a page is: a title, the tables it is drawn from, and how it is drawn; and who looks at it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from equipoise.core.callers import Caller, Role
from equipoise.dashboard.filters import Filters, path_of
from equipoise.dashboard.markup import Child, Markup, join, tag
from equipoise.dashboard.table import Table

Tables: TypeAlias = Mapping[str, Table]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks, at what, when. `proof` is what his forms bring along; `logged_in` whether there is a session to end."""

    filters: Filters
    person: Caller
    proof: str
    now: float
    read_only: bool = False
    logged_in: bool = False
    draining: bool = False

    @property
    def begin(self) -> float:
        """Where the range begins."""
        return self.filters.begin(self.now)

    def may(self, role: Role) -> bool:
        """Is there a button for him that needs this role?"""
        return (self.person.role or Role.VIEW).covers(role) and not self.read_only

    def link(self, *parts: str, **changed: str) -> str:
        """A page with these filters, and what is changed of them."""
        return path_of(*parts) + self.filters.query(**changed)


Drawn: TypeAlias = Callable[[Tables, View], Markup]


class Page(msgspec.Struct, frozen=True):
    """One place of the menu."""

    name: str
    title: str
    sources: tuple[str, ...]
    draw: Drawn
    filters: tuple[str, ...] = ("backend", "route", "tenant")


def panel(title: str, *inside: Child, note: str = "", wide: bool = False, id: str = "") -> Markup:  # noqa: A002 - HTML's word
    """One part of a page under a heading."""
    head = tag("h2", title)
    return tag(
        "section",
        head,
        tag("p", note, class_="note") if note else None,
        inside,
        class_="panel wide" if wide else "panel",
        id=id or None,
    )


def files(table: Table, view: View) -> Markup:
    """Where the table is to be had as JSON and CSV."""
    links = [
        tag(
            "a",
            kind,
            href=path_of("tables", f"{table.name}.{kind}") + view.filters.query(),
            aria_label=f"{table.name} as {kind}",
        )
        for kind in ("json", "csv")
    ]
    return tag("p", links[0], " ", links[1], class_="files")


def button(
    view: View,
    action: str,
    target: str,
    text: str,
    *,
    danger: bool = False,
    more: Child = None,
    about: str = "",
    needs: Role = Role.OPERATE,
) -> Markup:
    """A form with one button; nothing for those who may not."""
    if not view.may(needs):
        return Markup("")
    hidden = [
        tag("input", type="hidden", name=name, value=value)
        for name, value in (("proof", view.proof), ("target", target))
    ]
    press = tag(
        "button",
        text,
        type="submit",
        class_="danger" if danger else None,
        aria_label=f"{text} {about or ''} {target}".replace("  ", " ").strip(),
    )
    return tag("form", join(hidden), more, press, method="post", action=path_of("do", action), class_="act")
