"""Takes records to a database that may be gone: into a journal of this machine at once, from there in order, once each.

How far a segment of the journal has come is written in the transaction that writes its records. So whatever dies in
between, this process or the server, in the middle of a commit or of catching up: who goes on asks the database where,
and nothing is there twice or left out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

from equipoise.stores.books import BooksHealth, Chore
from equipoise.stores.database import Connection, Database, Row, StoreError
from equipoise.stores.insertion import UNWRITABLE, OnUnwritable
from equipoise.stores.journal import Frame, Journal, Segment, framed
from equipoise.stores.tables import put

IDLE_SECONDS, ADOPT_SECONDS = 1.0, 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 3.0
CLOSE_SECONDS = 5.0
SILENT_SECONDS = 3.0
"""A server that takes longer over one portion is not well."""
PORTION_ROWS = 1_000
OLD_BYTES = 1024 * 1024
"""A segment as long as this is left behind once all of it has arrived."""
Clock: TypeAlias = Callable[[], float]


class Shipping:
    """One journal and one thread for all records of a process. Nothing is opened before `begin`.

    `on_error` is told, in the thread, when the database can no longer be written, and when it can again.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        most_bytes: int,
        on_error: Callable[[str], None] = lambda message: None,
        wall: Clock = time.time,
    ) -> None:
        self.database = database
        self._folder, self._most_bytes, self._on_error, self._wall = folder, most_bytes, on_error, wall
        self._journal: Journal | None = None
        self._connection: Connection | None = None
        self._lock, self._arrived = threading.Lock(), threading.Condition()
        self._due, self._closing = threading.Event(), threading.Event()
        self._users = self._waiting = self._put = self._got = 0
        self._asked: float | None = None
        self._error: str | None = None
        self._since: float | None = None
        self._well_at = wall()
        self._adopt_at = 0.0
        self._strange: dict[str, OnUnwritable] = {}
        self._chores: list[Chore] = []
        self._thread = threading.Thread(target=self._run, name="equipoise-shipping", daemon=True)

    def join(self, table: str, on_unwritable: OnUnwritable, chore: Chore) -> None:
        """A store begins to put records down. Raises StoreError where none can be kept here."""
        with self._lock:
            self._users += 1
            self._strange[table] = on_unwritable
            self._chores.append(chore)
            if self._journal is None:
                self._journal = Journal(self._folder, self._most_bytes, self._on_error)
                self._thread.start()

    def leave(self) -> None:
        """A store has nothing more to put down; with the last one the rest is shipped, or stays for the next process."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
        self._closing.set()
        self._due.set()
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive() and self._journal is not None:
            self._journal.close()

    @property
    def closed(self) -> bool:
        """Has the last store left?"""
        return self._closing.is_set()

    def append(self, table: str, rows: Sequence[Row], on_unwritable: OnUnwritable) -> int:
        """Make rows durable on this machine; gives how many. Raises StoreError when there is no more room for them."""
        strange: list[tuple[Row, str]] = []
        data, count = _framed(table, rows, lambda *what: strange.append(what))
        with self._lock:
            if data and self._journal is not None:
                self._journal.append(data)
            self._waiting += count
            self._put += count
        self._due.set()
        for row, why in strange:
            on_unwritable(row, why)
        return count

    def settle(self, seconds: float) -> None:
        """Wait until what was put down so far has arrived; not while the database is away, and no longer than this."""
        wanted = self._put
        with self._arrived:
            self._arrived.wait_for(lambda: self._got >= wanted or self._error is not None, seconds)

    def health(self) -> BooksHealth:
        """How it is, from memory."""
        journal = self._journal
        error, since, asked = self._error, self._since, self._asked
        if error is None and asked is not None and time.monotonic() - asked > SILENT_SECONDS:
            silent = time.monotonic() - asked
            error, since = f"{self.database.name} has not answered for {silent:.0f} s", self._wall() - silent
        waiting = journal.waiting_bytes if journal is not None else 0
        return BooksHealth(queued=max(0, self._waiting), queued_bytes=waiting, error=error, since=since)

    # ---- in the thread ----

    def _run(self) -> None:
        try:
            pause = 0.0
            while not self._closing.wait(pause):
                self._due.wait(IDLE_SECONDS)
                pause = self._try(pause)
            self._try(pause)
        finally:
            if not self._closing.is_set():
                self._unwell("nothing is shipped any more, by a fault of ours")
            if self._connection is not None:
                self._connection.close()

    def _try(self, pause: float) -> float:
        """Ship what there is; gives the seconds to wait before the next time."""
        self._due.clear()
        try:
            self._work()
        except StoreError as error:
            self._unwell(str(error))
            return min(2 * pause, LONGEST_PAUSE) or FIRST_PAUSE
        self._well()
        return 0.0

    def _work(self) -> None:
        """Ship everything there is, and do the chores."""
        self._asked = time.monotonic()
        try:
            self._adopt()
            connection = self._opened()
            while (segment := self._next()) is not None:
                self._ship(connection, segment)
                self._asked = time.monotonic()
            for chore in self._chores:
                chore(connection)
                self._asked = time.monotonic()
        finally:
            self._asked = None

    def _opened(self) -> Connection:
        self._connection = self._connection or self.database.open()
        return self._connection

    def _adopt(self) -> None:
        """What processes that are gone have left: at the start, and now and then."""
        if self._journal is None or time.monotonic() < self._adopt_at:
            return
        self._adopt_at = time.monotonic() + ADOPT_SECONDS
        with self._lock:
            found = self._journal.take_over()
            self._waiting += found

    def _next(self) -> Segment | None:
        """The first segment with anything to ship; those that have arrived whole are left behind."""
        with self._lock:
            journal = self._journal
            if journal is None:
                return None
            for segment in list(journal.segments):
                if segment.done < segment.size or not segment.certain:
                    return segment
                if segment is not journal.segments[-1] or segment.size >= OLD_BYTES:
                    journal.finish(segment)
                    self._gone(segment)
        return None

    def _gone(self, segment: Segment) -> None:
        """Nobody will ask for its place again. After its file: a place without a file does no harm."""
        if self._connection is not None:
            with self._connection.transaction(alone=False) as connection:
                connection.execute("DELETE FROM shipped WHERE segment = ?", (segment.name,))

    def _ship(self, connection: Connection, segment: Segment) -> None:
        """One portion of a segment in one transaction, together with the place up to which it has come."""
        strange: list[tuple[str, Row, str]] = []
        if not segment.certain:
            self._arrive(segment, _place(connection, segment))
            segment.certain = True
        frames, end = _portion(segment)
        if not frames:
            return
        segment.certain = False  # until the commit is known to have been one
        with connection.transaction(alone=False):
            for table, rows in _together(frames):
                _put(connection, table, rows, self.database, strange)
            connection.execute(_SHIPPED, (segment.name, end, self._wall()))
        segment.certain, segment.done = True, end
        self._arrive(segment, sum(len(frame.rows) for frame in frames))
        for table, row, why in strange:
            self._strange[table](row, why)

    def _arrive(self, segment: Segment, rows: int) -> None:
        with self._lock:
            self._waiting -= rows
        with self._arrived:
            self._got += rows if segment.own else 0
            self._arrived.notify_all()
        self._well_at = self._wall()

    def _well(self) -> None:
        if self._error is not None:
            away = self._wall() - (self._since or self._wall())
            self._on_error(f"{self.database.name} is back after {away:.0f} s; all records have arrived")
        self._error, self._since, self._well_at = None, None, self._wall()

    def _unwell(self, error: str) -> None:
        if self._error is None:
            self._since = self._well_at
            self._on_error(f"{error}; records wait in {self._folder}")
        self._error = error
        with self._arrived:
            self._arrived.notify_all()


_SHIPPED = """
INSERT INTO shipped VALUES (?, ?, ?)
ON CONFLICT (segment) DO UPDATE SET position = excluded.position, wall = excluded.wall
"""


def _place(connection: Connection, segment: Segment) -> int:
    """Ask how far a segment has come; gives how many rows arrived that were not known to have."""
    found = connection.look("SELECT position FROM shipped WHERE segment = ?", (segment.name,))
    place = found[0][0] if found else 0
    arrived = 0
    for frame, end in segment.frames(segment.done):
        if end > place:
            break
        arrived += len(frame.rows)
    segment.done = max(segment.done, place)
    return arrived


def _portion(segment: Segment) -> tuple[list[Frame], int]:
    frames: list[Frame] = []
    end, rows = segment.done, 0
    for frame, at in segment.frames(segment.done):
        frames, end, rows = [*frames, frame], at, rows + len(frame.rows)
        if rows >= PORTION_ROWS:
            break
    return frames, end


def _together(frames: list[Frame]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of frames for the same table that follow each other."""
    for table, found in groupby(frames, key=lambda frame: frame.table):
        yield table, [tuple(map(_storable, row)) for frame in found for row in frame.rows]


def _put(
    connection: Connection, table: str, rows: list[Row], database: Database, strange: list[tuple[str, Row, str]]
) -> None:
    put(connection, table, rows, lambda row, why: strange.append((table, row, why)), database.unwritable)


def _storable(value: object) -> object:
    """PostgreSQL's texts hold every character but one."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if type(value) is str and "\0" in value else value


def _framed(table: str, rows: Sequence[Row], on_unwritable: OnUnwritable) -> tuple[bytes, int]:
    """Frames, and how many rows are in them; one row that has no place in a frame does not spoil the others."""
    try:
        return framed(table, rows), len(rows)
    except UNWRITABLE:
        good = [row for row in rows if _fits(table, row, on_unwritable)]
        return framed(table, good), len(good)


def _fits(table: str, row: Row, on_unwritable: OnUnwritable) -> bool:
    try:
        framed(table, [row])
    except UNWRITABLE as error:
        on_unwritable(row, str(error))
        return False
    return True


class ShippedBooks:
    """The books of one store whose records go by way of a journal."""

    def __init__(self, shipping: Shipping, table: str, on_unwritable: OnUnwritable, chore: Chore) -> None:
        self.database = shipping.database
        self._shipping, self._table, self._on_unwritable, self._chore = shipping, table, on_unwritable, chore
        self._joined = False

    def begin(self) -> None:
        """As Books has it: of this machine's journal. The server may be away."""
        if not self._joined:
            self._shipping.join(self._table, self._on_unwritable, self._chore)
            self._joined = True

    def put(self, table: str, rows: Sequence[Row]) -> int:
        """As Books has it: they are durable on this machine."""
        self.begin()
        return self._shipping.append(table, rows, self._on_unwritable)

    def tidy(self) -> None:
        """As Books has it: chores are done where the server is written to."""

    def settle(self, seconds: float) -> None:
        """As Books has it."""
        self._shipping.settle(seconds)

    def health(self) -> BooksHealth:
        """As Books has it."""
        return self._shipping.health()

    def close(self) -> None:
        """As Books has it."""
        if self._joined:
            self._joined = False
            self._shipping.leave()
