"""One table, three forms."""

from __future__ import annotations

import csv
import io
import json

import pytest

from equipoise.dashboard.table import MOST_ROWS, STATES, Column, Table, drawn, state
from tests.shell.dashboard.test_markup import read

COLUMNS = (
    Column("who", "Who"),
    Column("usd", "Cost", "usd"),
    Column("at", "When", "instant"),
    Column("now", "State", "state"),
)
ROWS = [
    {"who": "=HYPERLINK(1)", "usd": 0.5, "at": 0.0, "now": "open"},
    {"who": "<b>x</b>", "usd": None, "at": 1_800_000_000.0, "now": None},
]
TABLE = Table(name="bill", columns=COLUMNS, rows=ROWS, note="all of it", empty="Ask something.")


def test_json_is_raw() -> None:
    """Numbers stay numbers, nothing stays null."""
    told = json.loads(TABLE.as_json())
    assert told["rows"] == ROWS
    assert told["note"] == "all of it"


def test_csv_holds_no_formula() -> None:
    """A name that a spreadsheet would compute is quoted; a heading is there."""
    rows = list(csv.reader(io.StringIO(TABLE.as_csv().decode())))
    assert rows[0] == ["who", "usd", "at", "now"]
    assert rows[1][0] == "'=HYPERLINK(1)"
    assert rows[2][1] == ""


def test_html_is_escaped_and_written_for_people() -> None:
    """Names are text, dollars have their sign, moments their zone, states a shape and a word."""
    reader = read(drawn(TABLE, "Bill"))
    assert "b" not in [name for name, _ in reader.tags]
    for word in ("<b>x</b>", "$0.50", "2027-01-15 08:00:00Z", "■ open", "Bill"):
        assert word in reader.text


def test_an_empty_table_says_what_to_do() -> None:
    """Instead of a bare heading."""
    assert (
        read(drawn(Table(name="bill", columns=COLUMNS, rows=[], empty="Ask something."), "Bill")).text
        == "Ask something."
    )


def test_pages_and_files_are_bounded() -> None:
    """However many rows there are."""
    many = Table(name="bill", columns=COLUMNS, rows=[ROWS[0]] * 9_000)
    assert [name for name, _ in read(drawn(many, "Bill", most=10)).tags].count("tr") == 11
    assert len(json.loads(many.as_json())["rows"]) == MOST_ROWS
    assert many.as_csv().count(b"\n") == MOST_ROWS + 1


@pytest.mark.parametrize("value", [*STATES, "never heard of"])
def test_a_state_is_never_a_colour_only(value: str) -> None:
    """It has a shape beside its word."""
    shape, word = read(state(value)).text.split(" ", 1)
    assert len(shape) == 1
    assert word == value.replace("_", " ")


def test_good_and_bad_have_different_shapes() -> None:
    """For those who see no difference between red and green."""
    shapes: dict[str, set[str]] = {}
    for kind, shape in STATES.values():
        shapes.setdefault(shape, set()).add(kind)
    assert all(len(kinds) == 1 for kinds in shapes.values())
