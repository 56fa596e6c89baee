"""Headroom in one SQLite file, shared by the gateways of one machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from equipoise.core.slices import Ask, Grant, slice_of
from equipoise.stores.sqlite import Migration, StoreError, open_database

T = TypeVar("T")
SCHEMA = (
    Migration(
        1,
        "leases",
        """
-- Who holds slices; silent beyond `expires` (Unix seconds) he is dead. `turn` is the last one taken.
CREATE TABLE holders (
    holder TEXT PRIMARY KEY,
    turn INTEGER NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE held (
    account TEXT NOT NULL,
    holder TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (account, holder)
) WITHOUT ROWID;

-- Sums by period, in the account's unit, and how many movements they are of.
CREATE TABLE spent (
    account TEXT NOT NULL,
    period INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (account, period)
) WITHOUT ROWID;

-- An operator's word, good as long as the configured limit is what it was.
CREATE TABLE limits (
    budget TEXT PRIMARY KEY,
    amount INTEGER NOT NULL,
    instead_of INTEGER NOT NULL,
    wall REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE told (
    account TEXT NOT NULL,
    share REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (account, share)
) WITHOUT ROWID;

-- What operators changed, and when. Rows are never changed.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    wall REAL NOT NULL,
    budget TEXT NOT NULL,
    what TEXT NOT NULL
);
""",
    ),
)
OF_BUDGET = "(account = :budget OR substr(account, 1, length(:budget) + 1) = :budget || '[')"


class SqliteLeases:
    """A LeaseStore in a file of its own, so that it never waits behind a batch of the ledger."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._connection = open_database(self.path, SCHEMA)

    def renew(
        self, holder: str, turn: int, asks: Sequence[Ask], now: float, seconds: float, *, beat: bool = True
    ) -> list[Grant]:
        """As LeaseStore has it. Beside SQLite's own sync to disk about 60 microseconds an account."""
        if not beat and not any(ask.changes for ask in asks):
            return self._transaction(lambda: [self._standing(holder, ask, now) for ask in asks], "BEGIN")
        return self._transaction(lambda: self._renewed(holder, turn, asks, now, now + seconds))

    def leave(self, holder: str, turn: int, asks: Sequence[Ask], now: float) -> None:
        """As LeaseStore has it."""

        def left() -> None:
            self._renewed(holder, turn, asks, now, now)
            self._run("DELETE FROM held WHERE holder = ? AND amount <= 0", holder)
            self._run("DELETE FROM holders WHERE holder = ? AND holder NOT IN (SELECT holder FROM held)", holder)

        self._transaction(left)

    def holdings(self, holder: str) -> tuple[float, list[str]]:
        """As LeaseStore has it."""
        alive = "SELECT expires FROM holders WHERE holder = ?"
        held = "SELECT account FROM held WHERE holder = ?"

        def found() -> tuple[float, list[str]]:
            row = self._run(alive, holder).fetchone()
            return (row[0] if row else 0.0), [account for (account,) in self._run(held, holder)]

        return self._transaction(found, "BEGIN")

    def give_back(self, holder: str, free: Mapping[str, int], now: float) -> int:
        """As LeaseStore has it."""

        def given() -> int:
            row = self._run("SELECT expires FROM holders WHERE holder = ?", holder).fetchone()
            if row is None or row[0] > now:
                return 0
            return sum(self._given_back(account, holder, amount, now) for account, amount in free.items())

        return self._transaction(given)

    def periods(self, account: str, first: int, before: int) -> list[tuple[int, int, int]]:
        """As LeaseStore has it."""
        sql = "SELECT period, amount, count FROM spent WHERE account = ? AND period >= ? AND period < ?"
        return self._transaction(lambda: self._run(sql, account, first, before).fetchall(), "BEGIN")

    def first_to_tell(self, account: str, share: float, until: float, now: float) -> bool:
        """As LeaseStore has it."""

        def told() -> bool:
            row = self._run("SELECT until FROM told WHERE account = ? AND share = ?", account, share).fetchone()
            if row is not None and row[0] > now:
                return False
            self._run("REPLACE INTO told VALUES (?, ?, ?)", account, share, min(until, 1e18))
            return True

        return self._transaction(told)

    def set_limit(self, budget: str, amount: int | None, instead_of: int, now: float) -> None:
        """As LeaseStore has it."""

        def change() -> None:
            self._run("DELETE FROM limits WHERE budget = ?", budget)
            if amount is not None:
                self._run("INSERT INTO limits VALUES (?, ?, ?, ?)", budget, amount, instead_of, now)
            self._note(budget, f"limit {'as configured' if amount is None else amount}", now)

        self._transaction(change)

    def reset(self, budget: str, now: float, *, lost_only: bool = False) -> int:
        """As LeaseStore has it."""
        dead = "holder IN (SELECT holder FROM holders WHERE expires <= :now)"
        values = {"budget": budget, "now": now}

        def forget() -> int:
            (lost,) = self._named(f"SELECT COALESCE(SUM(amount), 0) FROM held WHERE {OF_BUDGET} AND {dead}", values)  # noqa: S608
            self._connection.execute(f"DELETE FROM held WHERE {OF_BUDGET} AND {dead}", values)  # noqa: S608
            spent = 0
            if not lost_only:
                (spent,) = self._named(f"SELECT COALESCE(SUM(amount), 0) FROM spent WHERE {OF_BUDGET}", values)  # noqa: S608
                self._connection.execute(f"DELETE FROM spent WHERE {OF_BUDGET}", values)  # noqa: S608
                self._connection.execute(f"DELETE FROM told WHERE {OF_BUDGET}", values)  # noqa: S608
            self._note(budget, f"reset: {spent} spent and {lost} lost forgotten", now)
            return int(lost + spent)

        return self._transaction(forget)

    def close(self) -> None:
        """As LeaseStore has it."""
        with self._lock:
            self._connection.close()

    # ---- within a transaction ----

    def _renewed(self, holder: str, turn: int, asks: Sequence[Ask], now: float, expires: float) -> list[Grant]:
        row = self._run("SELECT turn FROM holders WHERE holder = ?", holder).fetchone()
        self._run("REPLACE INTO holders VALUES (?, ?, ?)", holder, turn, expires)
        if row is None or row[0] < turn:
            for ask in asks:
                self._book(holder, ask)
                self._forget(ask, now)
            return [self._given(holder, ask, now) for ask in asks]
        return [self._standing(holder, ask, now) for ask in asks]

    def _book(self, holder: str, ask: Ask) -> None:
        for period, amount, count in ask.spent:
            self._run(
                "INSERT INTO spent VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                "SET amount = amount + excluded.amount, count = count + excluded.count",
                ask.account, period, amount, count,
            )  # fmt: skip
        if ask.used or ask.back:
            # Whoever spent more than he held has nothing left; the excess is in `spent` all the same.
            sql = "UPDATE held SET amount = MAX(0, amount - ?) WHERE account = ? AND holder = ?"
            self._run(sql, ask.used + ask.back, ask.account, holder)

    def _forget(self, ask: Ask, now: float) -> None:
        """Periods long past, and slices lost in a window that is over."""
        self._run("DELETE FROM spent WHERE account = ? AND period < ?", ask.account, ask.keep)
        dead = "SELECT holder FROM holders WHERE expires <= ? AND expires < ?"
        self._run(f"DELETE FROM held WHERE account = ? AND holder IN ({dead})", ask.account, now, ask.began)  # noqa: S608

    def _given(self, holder: str, ask: Ask, now: float) -> Grant:
        standing = self._standing(holder, ask, now)
        given = slice_of(standing.headroom, ask.need, ask.want, self._holders(ask.account, holder, now))
        if not given:
            return standing
        self._run(
            "INSERT INTO held VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET amount = amount + excluded.amount",
            ask.account, holder, given,
        )  # fmt: skip
        return self._standing(holder, ask, now)

    def _standing(self, holder: str, ask: Ask, now: float) -> Grant:
        sql = "SELECT COALESCE(SUM(amount), 0), COALESCE(SUM(count), 0), MIN(period) FROM spent WHERE account = ? AND period >= ?"
        spent, count, oldest = self._run(sql, ask.account, ask.since).fetchone()
        rows = self._run(
            "SELECT holder, amount, expires FROM held JOIN holders USING (holder) WHERE account = ?", ask.account
        ).fetchall()
        word = self._run("SELECT amount, instead_of FROM limits WHERE budget = ?", ask.budget).fetchone()
        return Grant(
            account=ask.account,
            held=sum(amount for name, amount, _ in rows if name == holder),
            spent=spent,
            count=count,
            others=sum(amount for name, amount, expires in rows if name != holder and expires > now),
            unknown=sum(amount for name, amount, ends in rows if name != holder and ask.began <= ends <= now),
            limit=word[0] if word is not None and word[1] == ask.limit else ask.limit,
            oldest=oldest,
        )

    def _holders(self, account: str, holder: str, now: float) -> int:
        """How many live ones hold something of the account, this one included."""
        sql = (
            "SELECT COUNT(*) FROM held JOIN holders USING (holder) "
            "WHERE account = ? AND holder != ? AND expires > ? AND amount > 0"
        )
        return int(self._run(sql, account, holder, now).fetchone()[0]) + 1

    def _given_back(self, account: str, holder: str, free: int, now: float) -> int:
        place = "account = ? AND holder = ?"
        row = self._run(f"SELECT amount FROM held WHERE {place}", account, holder).fetchone()  # noqa: S608
        amount = max(0, min(free, row[0])) if row else 0
        if amount:
            self._run(f"UPDATE held SET amount = amount - ? WHERE {place}", amount, account, holder)  # noqa: S608
            self._note(account.partition("[")[0], f"{amount} given back of what a dead gateway held in {account}", now)
        return amount

    def _note(self, budget: str, what: str, now: float) -> None:
        self._run("INSERT INTO changes (wall, budget, what) VALUES (?, ?, ?)", now, budget, what)

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def _named(self, sql: str, values: dict[str, object]) -> tuple[int, ...]:
        row: tuple[int, ...] = self._connection.execute(sql, values).fetchone()
        return row

    def _transaction(self, action: Callable[[], T], begin: str = "BEGIN IMMEDIATE") -> T:
        with self._lock:
            try:
                self._connection.execute(begin)
                result = action()
                self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                # SQLite has often rolled back by itself by now; should this fail too, the next BEGIN says so.
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise StoreError(f"cannot use {self.path}: {error}") from error
            return result
