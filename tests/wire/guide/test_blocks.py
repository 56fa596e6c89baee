"""The reader of the guide is not easily pleased."""

from __future__ import annotations

import pytest

from tests.wire.guide.blocks import Block, agrees, commands


@pytest.mark.parametrize(
    ("printed", "promised", "good"),
    [
        ("ready in 3 s\n", "ready in … s", True),
        ("a   b\n", "a b", True),
        ("one\ntwo\nthree\n", "…\nthree", True),
        ("one\ntwo\n", "one", False),
        ("one\n", "one\ntwo", False),
        ("one\ntwo\nthree\n", "one…three", False),
        ("1 of 4 (a.b)\n", "1 of 4 (axb)", False),
        ("", "something", False),
    ],
)
def test_output_is_compared_line_by_line_except_where_anything_goes(printed: str, promised: str, good: bool) -> None:
    """A line more, a line less and a dot that is no dot are seen."""
    assert agrees(printed, promised) is good


def test_commands_are_told_from_what_they_print() -> None:
    """A backslash continues a command, and a backslash in its output does not."""
    first, second = commands(Block("console", "$ echo a \\\n  b\na b \\\nc\n$ true\n", 10))
    assert (first.text, first.printed, first.line) == ("echo a \\\n  b", "a b \\\nc", 11)
    assert (second.text, second.printed, second.line) == ("true", "", 15)
