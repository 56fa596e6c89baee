"""What an answer may do to the terminal it is printed on: nothing but be read."""

from __future__ import annotations

import pytest

from equipoise.cli.app import complain
from equipoise.cli.ask import _print_piece, _print_rest
from equipoise.cli.asking import Told, _sources

ESCAPES = "a\r\n\x1b]0;title\x07b\x1b[2J\x9b31mc\u202ed\r\x08"


def test_an_answer_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes in text, titles, addresses, models and reasons come out as marks; line breaks stay."""
    _print_piece(f"{ESCAPES}\n\tend\n")
    citation = {"index": 1, "title": ESCAPES, "url": None, "file": ESCAPES + ".pdf"}
    _print_rest(Told("?", text="x", citations=[citation], backend=ESCAPES, model=ESCAPES, reason=ESCAPES))
    shown = capsys.readouterr().out
    assert "\n\tend\n" in shown
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    assert shown.partition("[1]")[2].count("\n") == 4, "names stay on their line"


def test_an_error_of_a_gateway_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What another server gives as its reason is printed without its escapes."""
    complain(f"refused: {ESCAPES}\n  more")
    shown = capsys.readouterr().err
    assert "\n  more" in shown
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


def test_sources_keep_the_numbers_the_text_cites_them_by() -> None:
    """A source that was dropped leaves its number free; the next one does not slip into its place."""
    listed = [{"id": 2, "title": "t", "url": "https://a.example/"}]
    assert [source["index"] for source in _sources({"search_results": listed})] == [2]
    assert [source["index"] for source in _sources({"citations": ["", "https://a.example/"]})] == [2]


def test_the_documents_behind_an_answer_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever was sent to another corpus reads so."""
    _print_rest(Told("?", text="x", backend="laws", model="lightrag/mix", corpus="statutes", strategy="pinned"))
    assert "laws (lightrag/mix, corpus statutes)" in capsys.readouterr().out
