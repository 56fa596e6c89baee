"""`equipoise ledger` shows, sums and exports what was recorded, to the nano-dollar."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from equipoise.cli import main
from equipoise.cli.exits import Failure
from equipoise.cli.times import duration, moment
from equipoise.core.model import Verdict
from equipoise.stores import Ledger
from tests.shell.stores.attempts import attempt

DAY = 86_400.0
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Six records of three days, two tenants and two backends."""
    path = tmp_path / "ledger.sqlite3"
    ledger = Ledger(path, batch_seconds=0.001, wall=lambda: NOON + 3 * DAY)
    for number in range(6):
        ledger.record(
            attempt(
                f"r{number}",
                cost=10**number,
                wall=NOON + number // 2 * DAY,
                tenant="ann" if number % 2 else "bob",
                backend_id="graph" if number < 3 else "web",
                tags=("a", "b") if number == 0 else ("b",),
                key="laptop" if number == 5 else "",
                verdict=Verdict.FAILURE if number == 4 else Verdict.SUCCESS,
                question_hash="=cmd()" if number == 5 else "d2f1",
            )
        )
    ledger.close()
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["ledger", "query", *arguments, "--since", "2026-11-01", "--json"]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_sums_by_any_group_add_up_to_the_whole(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is grouped by, the groups' exact costs sum to that of all records."""
    for by in ("day", "backend", "tenant", "backend,tenant", "verdict", "key", "model", "source"):
        rows = told(capsys, "--file", file, "--by", by)
        assert sum(int(str(row["cost"])) for row in rows) == 111_111
    days = told(capsys, "--file", file, "--by", "day")
    assert [(row["day"], row["cost"], row["cost_usd"]) for row in days] == [
        ("2026-11-25", 11, "0.000000011"),
        ("2026-11-26", 1_100, "0.000001100"),
        ("2026-11-27", 110_000, "0.000110000"),
    ]


def test_a_record_counts_for_each_of_its_tags(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One record has two tags, so tags sum to more than the whole; the page that documents it says so."""
    rows = told(capsys, "--file", file, "--by", "tag")
    assert [(row["tag"], row["cost"]) for row in rows] == [("a", 1), ("b", 111_111)]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (("--tenant", "ann"), ["r1", "r3", "r5"]),
        (("--backend", "web", "--verdict", "success"), ["r3", "r5"]),
        (("--key", "laptop"), ["r5"]),
        (("--tag", "a"), ["r0"]),
        (("--until", "2026-11-26"), ["r0", "r1"]),
        (("--limit", "2"), ["r4", "r5"]),
        (("--tenant", "' OR 1=1 --"), []),
    ],
)
def test_records_are_filtered(
    file: str, capsys: pytest.CaptureFixture[str], filters: tuple[str, ...], expected: list[str]
) -> None:
    """In the order of time; a value is a value and never a piece of SQL."""
    assert [row["request_id"] for row in told(capsys, "--file", file, *filters)] == expected


def test_an_export_holds_every_column_of_every_record(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON Lines and CSV tell the same; the question is in neither, and no cell is a formula."""
    assert main(["ledger", "export", "--file", file, "--since", "2026-11-01"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    target = tmp_path / "out.csv"
    assert (
        main(["ledger", "export", "--to", str(target), "--format", "csv", "--file", file, "--since", "2026-11-01"]) == 0
    )
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["cost"] for row in rows] == [str(line["cost"]) for line in lines]
    assert sum(line["cost"] for line in lines) == 111_111
    assert set(rows[0]) == set(lines[0])
    assert rows[5]["question_hash"] == "'=cmd()"
    assert lines[5]["tags"] == ["b"]


def test_a_parquet_file_has_the_ledgers_types(file: str, tmp_path: Path) -> None:
    """Whole nano-dollars stay whole; empty columns keep their type."""
    from pyarrow import parquet

    target = tmp_path / "out.parquet"
    common = ["--to", str(target), "--format", "parquet", "--file", file, "--since", "2026-11-01"]
    assert main(["ledger", "export", *common]) == 0
    table = parquet.read_table(target)
    assert table.column("cost").to_pylist() == [10**number for number in range(6)]
    assert {str(table.schema.field(name).type) for name in ("cost", "claimed_cost", "status")} == {"int64"}
    assert str(table.schema.field("stream").type) == "bool"


def test_what_cannot_be_read_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No ledger, no group, no time: exit code 2 and what would do."""
    assert main(["ledger", "query", "--file", str(tmp_path / "none")]) == 2
    assert "there is no ledger" in capsys.readouterr().err
    (tmp_path / "text").write_text("no database at all, whatever it is called")
    assert main(["ledger", "query", "--file", str(tmp_path / "text")]) == 2
    assert main(["ledger", "query", "--by", "colour"]) == 2
    assert "known: day" in capsys.readouterr().err
    assert main(["ledger", "query", "--since", "yesterday"]) == 2


def test_times_are_read_as_people_write_them() -> None:
    """So long ago, a date, a time with or without a zone."""
    assert moment("90m", now=10_000.0) == 4_600.0
    assert moment("2026-11-25") == NOON - DAY / 2
    assert moment("2026-11-25T13:00+01:00") == NOON
    assert duration("1.5h") == 5_400.0
    with pytest.raises(Failure):
        duration("soon")
