"""`equipoise ledger query`, `export` and `report`: the records, read beside a running gateway"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.exporting import to_csv, to_jsonl, to_parquet
from equipoise.cli.output import Output, as_documents, remark, table
from equipoise.cli.times import moment
from equipoise.stores.database import Connection, Database, StoreError
from equipoise.stores.reports import FILTERS, GROUPS, Wanted, records, sums
from equipoise.stores.sqlite import SqliteFile, ledger_schema

T = TypeVar("T")
Form = Literal["csv", "jsonl", "parquet"]
ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
By = Annotated[str, Parameter(name=["--by", "--group-by"])]
FEW = (
    "wall",
    "request_id",
    "number",
    "tenant",
    "backend_id",
    "strategy",
    "verdict",
    "latency",
    "cost_usd",
    "cost_source",
)
"""Of one record what a table shows."""


def query(
    *,
    since: str = "24h",
    until: str | None = None,
    by: By = "",
    tenant: str | None = None,
    key: str | None = None,
    backend: str | None = None,
    route: str | None = None,
    verdict: str | None = None,
    tag: str | None = None,
    limit: int = 20,
    config: ConfigFile = None,
    file: Path | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Show records, or sums over them; a gateway may run meanwhile.

    Parameters
    ----------
    since: str
        From when on: 7d, 12h, 2026-11-25 (UTC).
    until: str
        Up to when; now when absent.
    by: str
        Sums instead of records, by these, separated by commas: day, hour, month, backend, type, model, tenant, key,
        route, strategy, kind, verdict, role, source (how a cost is known), price (by whose word), tag.
    tenant: str
        Only this tenant's.
    key: str
        Only those that came with the key of this name.
    backend: str
        Only attempts at this backend.
    route: str
        Only those of this route.
    verdict: str
        Only these: success, no_answer, failure, throttled, refused, ignored.
    tag: str
        Only those with this tag.
    limit: int
        The newest so many records; sums are over all.
    config: Path
        The configuration whose ledger is meant; otherwise the one that `serve` would take.
    file: Path
        The ledger's file itself.
    output: str
        table, wide (all columns), json or yaml.
    json: bool
        Print one JSON document.
    """
    wanted = _wanted(since, until, tag, tenant=tenant, key=key, backend=backend, route=route, verdict=verdict)
    groups = _groups(by)

    def read(connection: Connection) -> list[dict[str, Any]]:
        return sums(connection, wanted, groups) if groups else list(records(connection, wanted, limit))

    rows = _read(_place(config, file), read)
    if as_documents(rows, output, json):
        return
    if not rows:
        remark("no records")
        return
    columns = [name for name in rows[0] if groups or output == "wide" or name in FEW]
    columns = [name for name in columns if name != "cost"] if output != "wide" else columns
    shown = [[_time(row[name]) if name == "wall" else row[name] for name in columns] for row in rows]
    table(["time" if name == "wall" else name.replace("_", " ") for name in columns], shown)


def export(
    to: Annotated[Path | None, Parameter(name=["--to"])] = None,
    *,
    form: Annotated[Form, Parameter(name=["--format"])] = "jsonl",
    since: str = "24h",
    until: str | None = None,
    tenant: str | None = None,
    key: str | None = None,
    backend: str | None = None,
    route: str | None = None,
    verdict: str | None = None,
    tag: str | None = None,
    config: ConfigFile = None,
    file: Path | None = None,
) -> None:
    """Write records to a file or to stdout, one a line; money also in whole nano-dollars.

    Parameters
    ----------
    to: Path
        The file to write; stdout when absent.
    form: str
        csv, jsonl (JSON Lines) or parquet (needs the extra `analytics`, and --to).
    since: str
        From when on: 7d, 12h, 2026-11-25 (UTC).
    until: str
        Up to when; now when absent.
    tenant: str
        Only this tenant's.
    key: str
        Only those that came with the key of this name.
    backend: str
        Only attempts at this backend.
    route: str
        Only those of this route.
    verdict: str
        Only these: success, no_answer, failure, throttled, refused, ignored.
    tag: str
        Only those with this tag.
    config: Path
        The configuration whose ledger is meant; otherwise the one that `serve` would take.
    file: Path
        The ledger's file itself.
    """
    wanted = _wanted(since, until, tag, tenant=tenant, key=key, backend=backend, route=route, verdict=verdict)
    place = _place(config, file)
    if form == "parquet":
        if to is None:
            raise Failure("Parquet goes to a file", USAGE, "name it with --to")
        number = _read(place, lambda connection: to_parquet(connection, records(connection, wanted), to))
    else:
        writer = to_csv if form == "csv" else to_jsonl
        with _opened(to) as stream:
            number = _read(place, lambda connection: writer(records(connection, wanted), stream))
    remark(f"{number} records" + (f" in {to}" if to else ""))


def report(
    *,
    since: str = "30d",
    until: str | None = None,
    by: By = "day",
    default: str | None = None,
    tenant: str | None = None,
    tag: str | None = None,
    config: ConfigFile = None,
    file: Path | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Say what was spent, and what the same questions would have cost at the dearest and at the default backend.

    Parameters
    ----------
    since: str
        From when on: 7d, 12h, 2026-11-25 (UTC).
    until: str
        Up to when; now when absent.
    by: str
        Day, month, backend, tenant, key, tag, route, kind, separated by commas.
    default: str
        The backend to compare with; otherwise `ledger.default_backend`, or the first one.
    tenant: str
        Only this tenant's questions.
    tag: str
        Only those with this tag.
    config: Path
        The configuration whose ledger and prices are meant; otherwise the one that `serve` would take.
    file: Path
        The ledger's file itself.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    from equipoise.build.prices import alternatives_of, default_backend
    from equipoise.stores.savings import BY, report

    wanted, loaded = _wanted(since, until, tag, tenant=tenant), configuration(config, quiet=True).config
    groups = tuple(name.strip() for name in by.split(",") if name.strip())
    if unknown := [name for name in groups if name not in BY]:
        raise Failure(f"costs cannot be grouped by {', '.join(unknown)}", USAGE, f"known: {', '.join(BY)}")
    alternatives, against = alternatives_of(loaded), default or default_backend(loaded)
    if against not in alternatives:
        raise Failure(f"there is no backend {against} that answers questions", USAGE)
    told = _read(_place(config, file), lambda connection: report(connection, wanted, alternatives, against, groups))
    if as_documents(told, output, json):
        return
    rows = [*told["rows"], dict.fromkeys(groups, "in all") | told["total"]]
    names = [*groups, "answers", "spent_usd", "all_to_dearest_usd", "saved_against_dearest_percent",
             "all_to_default_usd", "saved_against_default_percent"]  # fmt: skip
    table([_title(name, told) for name in names], [[row[name] for name in names] for row in rows])
    remark("what questions would have cost elsewhere is estimated from their records: docs/money.md says how")
    if told["unknown"]:
        remark(f"nobody knows what {', '.join(told['unknown'])} would cost")
    if told["not_in_it"]["attempts"]:
        remark(
            f"{told['not_in_it']['attempts']} records of that time are kept no more: ${told['not_in_it']['cost_usd']}"
        )


def _title(name: str, told: dict[str, Any]) -> str:
    words = {"all_to_dearest_usd": f"all to {told['dearest']}", "all_to_default_usd": f"all to {told['default']}"}
    return words.get(
        name,
        name.replace("_", " ").replace("percent", "%").replace(" against dearest", "").replace(" against default", ""),
    )


def _wanted(since: str, until: str | None, tag: str | None, **where: str | None) -> Wanted:
    last = moment(until) if until else 1e18
    chosen = {name: value for name, value in where.items() if value is not None and name in FILTERS}
    return Wanted(since=moment(since), until=last, where=chosen, tag=tag)


def _time(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _groups(by: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in by.split(",") if name.strip())
    if unknown := [name for name in names if name not in GROUPS]:
        raise Failure(f"records cannot be grouped by {', '.join(unknown)}", USAGE, f"known: {', '.join(GROUPS)}")
    return names


def _place(config: Path | None, file: Path | None) -> Database:
    """The ledger's file, or its database; raises Failure where none is kept or none is there yet."""
    from equipoise.build.store import ledger_in

    place: Database | None
    if file:
        place = SqliteFile(file, ledger_schema())
    else:
        place = ledger_in(configuration(config, quiet=True).config, at_leisure=True)
    if place is None:
        raise Failure("this configuration keeps no ledger (ledger.enabled is false)", USAGE)
    if not place.exists():
        raise Failure(
            f"there is no ledger at {place.name}", USAGE, "a gateway makes it when it starts; --file names another"
        )
    return place


def _read(place: Database, action: Callable[[Connection], T]) -> T:
    try:
        with place.reading(place.name) as connection:
            return action(connection)
    except StoreError as error:
        raise Failure(str(error), USAGE) from error


@contextmanager
def _opened(to: Path | None) -> Iterator[IO[str]]:
    if to is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        with to.open("w", encoding="utf-8", newline="") as stream:
            yield stream
    except OSError as error:
        raise Failure(f"cannot write {to}: {error.strerror}", USAGE) from error
