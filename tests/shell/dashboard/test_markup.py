"""Whatever is no markup is text: a stranger's words cannot become part of a page."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from equipoise.dashboard.markup import Markup, join, tag


class Reader(HTMLParser):
    """What a parser makes of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(markup: str) -> Reader:
    reader = Reader()
    reader.feed(markup)
    reader.close()
    return reader


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
)
def test_words_stay_words(text: str, value: str) -> None:
    """As text and as attribute, any words come out of a parser as they went in, and nothing else does."""
    reader = read(tag("p", tag("b", text), title=value))
    assert reader.tags == [("p", {"title": value}), ("b", {})]
    assert reader.text == text


def test_what_would_run_is_shown() -> None:
    """Tags, quotes and events in names."""
    drawn = tag("td", "<script>alert(1)</script>", title='" onmouseover="alert(1)')
    assert "<script" not in drawn
    assert read(drawn).tags == [("td", {"title": '" onmouseover="alert(1)'})]


def test_invisible_characters_are_shown_as_such() -> None:
    """Controls, writing that runs backwards and halves of pairs would deceive, or break the page."""
    assert tag("p", "a\x00b\u202ec\ud800") == "<p>a�b�c�</p>"


def test_attributes_may_be_bare_or_left_out() -> None:
    """True is bare; None and False are nothing; 0 is a value."""
    drawn = tag("input", required=True, hidden=False, min=0, title=None, class_="a", aria_label="b")
    assert drawn == '<input required min="0" class="a" aria-label="b">'


def test_children_are_flattened() -> None:
    """Lists in lists, numbers, nothing."""
    assert join(["a", ["b", [1, None]], Markup("<br>")]) == "ab1<br>"
