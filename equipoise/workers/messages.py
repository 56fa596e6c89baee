"""What goes between a parent and a worker, beside reports, hints and wishes."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Changes: TypeAlias = list[tuple[list[str | int], Any]]
"""The changes made at run time, as the paths of fields and their values."""


class Assignment(msgspec.Struct):
    """What a worker is to be: one of `count`, on the port that the parent holds, by this file and these flags.

    `overlay` is what was changed at run time so far. After a crash `shares` is what the one before it held of limits,
    where that is not its equal part; all of it is taken to be used up.
    """

    slot: int
    count: int
    port: int
    file: str | None
    flags: dict[str, Any]
    insecure: bool
    overlay: Changes = []
    crashed: bool = False
    shares: dict[str, int] = {}


class Overlay(msgspec.Struct):
    """What the first worker goes by now."""

    changes: Changes
    hash: str


class Asked(msgspec.Struct):
    """A request to the admin listener."""

    method: str
    path: str
    query: str
    headers: dict[bytes, bytes]
    body: bytes
    client: str
    scheme: str


class Answered(msgspec.Struct):
    """The response to it, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Part(msgspec.Struct):
    """So many units of a limit: wanted at least by another (RELEASE), or given (GRANT)."""

    name: str
    whole: int
    units: int


REPORT, READY, GOODBYE = "report", "ready", "goodbye"
KNOWN, SCRAPE, STATUS, SETTLE, FLUSH = "known", "scrape", "status", "settle", "flush"
ADMIN, REPEAT, OVERLAY, ADOPT, RELOAD, LEAD = "admin", "repeat", "overlay", "adopt", "reload", "lead"
HINT, MORE, RELEASE, GRANT, ASSIGN = "hint", "more", "release", "grant", "assign"
