"""Values and rows of PostgreSQL as SQLite would give them: flags are numbers, sums of integers are integers."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import psycopg
from psycopg.adapt import AdaptersMap, Dumper, Loader


class NamedRow(tuple[Any, ...]):
    """A row by place and by name."""

    __slots__ = ()
    places: ClassVar[dict[str, int]] = {}

    def __getitem__(self, which: Any) -> Any:
        return tuple.__getitem__(self, self.places[which] if isinstance(which, str) else which)

    def keys(self) -> list[str]:
        """The names of the columns."""
        return list(self.places)


@cache
def _kind_of(names: tuple[str, ...]) -> type[NamedRow]:
    places = {name: place for place, name in enumerate(names)}
    return type("NamedRow", (NamedRow,), {"__slots__": (), "places": places})


def named_rows(cursor: psycopg.Cursor[Any]) -> type[NamedRow]:
    """A psycopg row factory."""
    return _kind_of(tuple(column.name for column in cursor.description or ()))


class _Flag(Dumper):
    oid = psycopg.adapters.types["int8"].oid

    def dump(self, obj: Any) -> bytes:
        return b"1" if obj else b"0"


class _Number(Loader):
    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return int(text) if text.removeprefix(b"-").isdigit() else float(text)


def adapters() -> AdaptersMap:
    """psycopg's own, but for flags and for what PostgreSQL adds up."""
    ours = AdaptersMap(psycopg.adapters)
    ours.register_dumper(bool, _Flag)
    ours.register_loader("numeric", _Number)
    return ours
