"""HTML and SVG as values: whatever is no Markup is text, and text is escaped. There is no other way to make a page."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape
from typing import TypeAlias, Union

Child: TypeAlias = Union["Markup", str, int, float, Iterable["Child"], None]
Attribute: TypeAlias = str | int | float | bool | None
OVERRIDES = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
VOID = frozenset({"meta", "link", "input", "br", "hr", "img"})


class Markup(str):
    """Text that is markup already. Made by `tag` and `join`; nobody wraps a stranger's words in it."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """One element. `class_` is class, `aria_label` is aria-label; None and False leave an attribute out, True is bare."""
    head = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(head) if name in VOID else Markup(f"{head}{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Markup:
    """Children one after the other; nested ones are flattened, None is nothing."""
    return Markup("".join(_text(child) for child in children))


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(_visible(child), quote=False)
    return f"{child}" if isinstance(child, int | float) else join(child)


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(_visible(str(value)))}"'


def _visible(text: str) -> str:
    """Without what HTML cannot hold or what would write a line backwards: controls, halves of pairs, overrides."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cs") or unicodedata.bidirectional(character) in OVERRIDES
    return "\N{REPLACEMENT CHARACTER}" if hidden and character not in "\n\t" else character
