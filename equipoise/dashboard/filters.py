"""What part of the record a page is about: all of it stands in the address, so that a link shows others the same."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from equipoise.stores.reports import Wanted

RANGES = {"15m": 900.0, "1h": 3600.0, "6h": 21_600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0, "90d": 7_776_000.0}  # fmt: skip
BUCKETS = {"15m": 15.0, "1h": 60.0, "6h": 300.0, "24h": 1200.0, "7d": 7200.0, "30d": 43_200.0, "90d": 86_400.0}
"""Seconds of one step of a picture: some sixty to ninety in each range."""
BY = ("backend", "route", "tenant", "verdict")
VERDICTS = ("success", "failure", "no_answer", "refused", "ignored")
LONGEST = 128


class Unclear(ValueError):
    """A filter that makes no sense; the message says what would."""


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """The range (a name of RANGES) and single values; empty is everything."""

    range: str = "1h"
    backend: str = ""
    route: str = ""
    tenant: str = ""
    verdict: str = ""

    @property
    def seconds(self) -> float:
        """The length of the range."""
        return RANGES[self.range]

    @property
    def bucket(self) -> float:
        """Seconds of one step in a picture."""
        return BUCKETS[self.range]

    def wanted(self, now: float) -> Wanted:
        """The records this is about, for the ledger."""
        where = {name: getattr(self, name) for name in BY if getattr(self, name)}
        return Wanted(since=self.begin(now), where=where)

    def begin(self, now: float) -> float:
        """Where the range begins: at the edge of a step, Unix seconds."""
        return (now - self.seconds) // self.bucket * self.bucket

    def query(self, **changed: str) -> str:
        """As it stands behind the question mark; what is as usual is left out."""
        values = msgspec.structs.asdict(self) | changed
        usual = msgspec.structs.asdict(Filters())
        said = {name: value for name, value in values.items() if value != usual.get(name)}
        return f"?{urlencode(said)}" if said else ""


def read(query: str) -> Filters:
    """Filters of an address; names that are none of ours are left alone. Raises Unclear."""
    said = {name: value.strip() for name, value in parse_qsl(query[:4_096]) if value.strip()}
    known = {name: value for name, value in said.items() if name in Filters.__struct_fields__}
    for name, value in known.items():
        _check(name, value, {"range": RANGES, "verdict": VERDICTS}.get(name))
    return Filters(**known)


def _check(name: str, value: str, among: object) -> None:
    if len(value) > LONGEST:
        raise Unclear(f"{name} is longer than {LONGEST} characters")
    if among is not None and value not in among:  # type: ignore[operator]
        raise Unclear(f"{name} is one of {', '.join(among)}")  # type: ignore[arg-type]


Link = Callable[[str], str]


def path_of(*parts: str) -> str:
    """A path below the dashboard; strangers' words stay one segment."""
    return "/".join(["/dashboard", *(quote(part, safe="") for part in parts)])
