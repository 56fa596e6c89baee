"""What a row of the ledger is made of."""

from __future__ import annotations

from equipoise.stores.rows import COLUMNS, row_of
from tests.shell.stores.attempts import attempt


def test_a_row_holds_only_what_a_database_takes_as_it_is() -> None:
    """No flag and no word of an enumeration is left for sqlite3 to find an adapter for."""
    row = dict(zip(COLUMNS, row_of(attempt()), strict=True))
    assert {type(value) for value in row.values()} <= {int, str, float, bytes, type(None)}
    assert (row["verdict"], row["stream"], row["sent"]) == ("success", 1, 1)
