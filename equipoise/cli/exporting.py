"""Records of the ledger as CSV, JSON Lines or Parquet: one after the other, never all in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

from equipoise.cli.exits import USAGE, Failure
from equipoise.stores.database import Connection
from equipoise.stores.reports import FLAT
from equipoise.stores.rows import FLAGS

Record = dict[str, Any]
AT_ONCE = 20_000
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


def to_jsonl(rows: Iterable[Record], stream: IO[str]) -> int:
    """One JSON document a line; gives the number of lines."""
    number = 0
    for number, row in enumerate(rows, 1):  # noqa: B007 - the last one is the count
        stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    return number


def to_csv(rows: Iterable[Record], stream: IO[str]) -> int:
    """A table with a head; documents as JSON, and no text that a spreadsheet would obey. Gives the number of rows."""
    number = 0
    writer = csv.DictWriter(stream, fieldnames=[*FLAT, "quality", "cost_usd"])
    writer.writeheader()
    for number, row in enumerate(rows, 1):  # noqa: B007
        writer.writerow({name: harmless(plain(value)) for name, value in row.items()})
    return number


def plain(value: Any) -> Any:
    """A document as JSON text, anything else as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def harmless(value: Any) -> Any:
    """Text that would be taken for a formula with a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_parquet(connection: Connection, rows: Iterable[Record], to: Path) -> int:
    """A Parquet file whose columns have the ledger's types; gives the number of rows. Raises Failure without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise Failure("Parquet needs pyarrow", USAGE, "pip install 'equipoise[analytics]'") from None
    kinds = {"INTEGER": pyarrow.int64(), "REAL": pyarrow.float64()}
    declared = connection.types("attempts")
    types = {name: kinds.get(declared[name], pyarrow.string()) for name in FLAT}
    types |= dict.fromkeys(FLAGS, pyarrow.bool_()) | {"quality": pyarrow.float64(), "cost_usd": pyarrow.string()}
    schema, number = pyarrow.schema(list(types.items())), 0
    try:
        with parquet.ParquetWriter(to, schema) as writer:
            for portion in portions(rows):
                writer.write_table(pyarrow.Table.from_pylist(portion, schema))
                number += len(portion)
    except OSError as error:
        raise Failure(f"cannot write {to}: {error}", USAGE) from error
    return number


def portions(rows: Iterable[Record]) -> Iterator[list[Record]]:
    """The rows, so many at once, with documents as JSON text."""
    running = iter(rows)
    while portion := [{name: plain(value) for name, value in row.items()} for row in islice(running, AT_ONCE)]:
        yield portion
