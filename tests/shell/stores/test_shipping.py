"""The journal that records travel by: whole or not, bounded, and each row arrives once whatever fails on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.core.events import AnswerReused
from equipoise.stores import StoreError
from equipoise.stores.database import Connection, Migration, Schema
from equipoise.stores.journal import FRAME_ROWS, Journal, framed
from equipoise.stores.rows import COLUMNS, row_of
from equipoise.stores.shipping import Shipping
from equipoise.stores.sqlite import SqliteFile, migrations
from equipoise.stores.tables import ATTEMPTS, REUSES
from tests.shell.stores.attempts import attempt

MEBIBYTE = 1024 * 1024
PLACES = Migration(900, "shipped", "CREATE TABLE shipped (segment TEXT PRIMARY KEY, position INTEGER, wall REAL)")
SCHEMA = Schema("ledger", (*migrations(), PLACES))


def test_a_batch_cut_short_is_found_and_the_rest_kept(tmp_path: Path) -> None:
    """The end of a file that a process died over was never said to be durable."""
    told: list[str] = []
    first = Journal(tmp_path, MEBIBYTE)
    first.append(framed("attempts", [("a", 1), ("b", 2)]))
    (path,) = tmp_path.glob("waiting-*")
    with_its_process = Journal(tmp_path, MEBIBYTE)
    assert with_its_process.take_over() == 0
    with_its_process.close()
    first.segments[0].close(remove=False)
    with path.open("ab") as file:
        file.write(framed("attempts", [("c", 3)])[:-1])
    second = Journal(tmp_path, MEBIBYTE, told.append)
    assert second.take_over() == 2
    assert [frame.rows for frame, _ in second.segments[0].frames(0)] == [[("a", 1), ("b", 2)]]
    assert len(told) == 1
    second.close()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.text(max_size=5), st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.binary(max_size=5)
        )
    )
)
def test_rows_come_back_as_they_went(rows: list[tuple[Any, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every kind of value, in order, a frame at most so many."""
    journal = Journal(tmp_path_factory.mktemp("journal"), 64 * MEBIBYTE)
    journal.append(framed("quality", rows))
    frames = [frame for frame, _ in journal.segments[0].frames(0)]
    assert repr([row for frame in frames for row in frame.rows]) == repr(rows)
    assert all(len(frame.rows) <= FRAME_ROWS for frame in frames)
    journal.close()


def test_the_bound_holds_over_all_segments_and_a_refused_batch_leaves_nothing(tmp_path: Path) -> None:
    """Old segments count, too; what did not fit is not there in part."""
    journal, data = Journal(tmp_path, MEBIBYTE), framed("reuses", [("x" * 1000,)] * 50)
    with pytest.raises(StoreError, match="no more than 1048576 may"):
        while True:
            journal.append(data)
    assert MEBIBYTE - len(data) < journal.size <= MEBIBYTE
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == journal.size
    assert len(journal.segments) > 1
    journal.close()


class Faulty:
    """A database that does not always do, or say, what it should: each transaction has its fate."""

    unwritable = SqliteFile.unwritable
    name = "a faulty database"

    def __init__(self, path: Path, fates: Iterator[str]) -> None:
        self._file, self._fates, self.folder = SqliteFile(path, SCHEMA), fates, path.parent

    def open(self) -> Connection:
        connection = self._file.open()
        whole, fates = connection.transaction, self._fates

        @contextmanager
        def transaction(*, alone: bool = True) -> Iterator[Connection]:
            fate = next(fates, "well")
            if fate == "away":
                raise StoreError(fate)
            with whole(alone=alone):
                yield connection
                if fate == "lost":
                    raise StoreError(fate)
            if fate == "unsaid":
                raise StoreError(fate)

        connection.transaction = transaction  # type: ignore[method-assign]
        return connection


class Process:
    """A process that ships, as far as a test lets it; it can be killed."""

    def __init__(self, folder: Path, fates: Iterator[str]) -> None:
        self.shipping = Shipping(Faulty(folder / "ledger.db", fates), folder, most_bytes=64 * MEBIBYTE)  # type: ignore[arg-type]
        self.shipping._journal = Journal(folder, 64 * MEBIBYTE)

    def put(self, table: str, rows: list[Any]) -> None:
        self.shipping.append(table, rows, lambda row, why: pytest.fail(why))

    def work(self) -> None:
        with suppress(StoreError):
            self.shipping._work()

    def kill(self) -> None:
        """The kernel lets go of its locks; its files stay as they are."""
        assert self.shipping._journal is not None
        for segment in self.shipping._journal.segments:
            segment.close(remove=False)
        if self.shipping._connection is not None:
            self.shipping._connection.close()


def reuse(number: int) -> Any:
    return AnswerReused(
        request_id="the same", wall=1.0, tenant="t", key="k", route="r", result="hit", backend_id="b", source="s",
        age=1.0, saved=number,
    )  # fmt: skip


ACTS = st.lists(st.sampled_from(("attempts", "reuses", "work", "work", "kill")), max_size=30)
FATES = st.lists(st.sampled_from(("well", "away", "lost", "unsaid")), max_size=30)


@settings(max_examples=30, deadline=None)
@given(acts=ACTS, fates=FATES)
def test_every_row_arrives_once_whatever_fails_or_dies(
    acts: list[str], fates: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Commits that failed, commits whose answer was lost, kills anywhere: also for rows that nothing tells apart."""
    folder, fate = tmp_path_factory.mktemp("shipping"), iter(fates)
    process, put = Process(folder, fate), {"attempts": 0, "reuses": 0}
    for act in [*acts, "kill", *["work"] * (len(fates) + 2)]:
        if act == "kill":
            process.kill()
            process = Process(folder, fate)
        elif act == "work":
            process.work()
        elif act == "attempts":
            process.put(ATTEMPTS, [row_of(attempt(f"r{put[act] + n}", cost=1)) for n in range(3)])
            put[act] += 3
        else:
            process.put(REUSES.name, [tuple(getattr(reuse(put[act]), name) for name in REUSES.columns)])
            put[act] += 1
    with closing(SqliteFile(folder / "ledger.db", SCHEMA).open()) as connection:
        assert connection.look("SELECT COUNT(*), COUNT(DISTINCT request_id) FROM attempts") == [(put["attempts"],) * 2]
        assert connection.look("SELECT saved FROM reuses ORDER BY rowid") == [
            (number,) for number in range(put["reuses"])
        ]
    assert process.shipping.health().queued == 0
    process.kill()


def test_what_has_no_place_in_a_frame_spoils_no_batch(tmp_path: Path) -> None:
    """Told, and the others go on."""
    process, told = Process(tmp_path, iter(())), []
    good, bad = row_of(attempt("good")), list(row_of(attempt("bad")))
    bad[COLUMNS.index("model")] = "\ud800"
    assert process.shipping.append(ATTEMPTS, [good, tuple(bad)], lambda row, why: told.append(row[0])) == 1
    process.work()
    assert told == ["bad"]
    with closing(SqliteFile(tmp_path / "ledger.db", SCHEMA).open()) as connection:
        assert connection.look("SELECT request_id FROM attempts") == [("good",)]
    process.kill()


def test_rows_of_other_versions_are_taken_in(tmp_path: Path) -> None:
    """An upgrade, or the way back from one, while records wait: columns are only ever added at the end."""
    process = Process(tmp_path, iter(()))
    whole = row_of(attempt("now"))
    process.put(ATTEMPTS, [("before", *whole[1:40])])
    process.work()
    process.put(ATTEMPTS, [("after", *whole[1:], "more")])
    process.work()
    with closing(SqliteFile(tmp_path / "ledger.db", SCHEMA).open()) as connection:
        found = connection.look("SELECT request_id, cost, key FROM attempts ORDER BY 1")
    assert found == [("after", 6_100_000, ""), ("before", 6_100_000, "")]
    process.put("unheard-of", [("x",)])
    with pytest.raises(StoreError, match="only a later version knows"):
        process.shipping._work()
    process.kill()
