"""`equipoise audit ls` and `verify`: what people did at the admin listener and with keys"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.exits import OK, PROBLEMS, USAGE, Failure
from equipoise.cli.output import Output, as_documents, remark, say, table
from equipoise.cli.remote import Remote
from equipoise.cli.times import moment

if TYPE_CHECKING:
    from equipoise.stores.audit import AuditStore

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
COLUMNS = ("when", "who", "role", "action", "target", "outcome", "changed")
MOST = 1_000


def ls(
    *,
    since: str | None = None,
    who: str | None = None,
    limit: int = 50,
    admin_url: str | None = None,
    config: ConfigFile = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """List what people did, the newest first: drains, weights, keys, configurations, and what was refused.

    Parameters
    ----------
    since: str
        Since how long ago (7d) or when (2026-11-25, UTC).
    who: str
        Only what this key's or subject's name did.
    limit: int
        Most entries, up to 1000.
    admin_url: str
        Ask a running gateway there instead of reading the journal's file.
    config: Path
        The configuration whose journal is meant; otherwise the one that `serve` would take.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    if not 1 <= limit <= MOST:
        raise Failure(f"--limit is 1 to {MOST}", USAGE)
    start = moment(since) if since else 0.0
    entries = _asked(admin_url, since, who, limit) if admin_url else _read(config, start, who, limit)
    if as_documents(entries, output, json):
        return
    if not entries:
        remark("nothing was done, or nothing so lately")
        return
    table(COLUMNS, [_row(entry) for entry in entries])


def verify(*, config: ConfigFile = None) -> int:
    """Say whether the journal is whole: each entry as it was written, none missing between. Exit code 1 when not.

    Parameters
    ----------
    config: Path
        The configuration whose journal is meant; otherwise the one that `serve` would take.
    """
    broken = _journal(config, lambda store: store.broken())
    if broken is None:
        say("the journal is whole")
        return OK
    say(f"entry {broken} is not what was written, or one before it is missing")
    return PROBLEMS


def _read(config: Path | None, since: float, who: str | None, limit: int) -> list[dict[str, Any]]:
    import msgspec

    found = _journal(config, lambda store: store.entries(since=since, who=who, limit=limit))
    return list(msgspec.to_builtins(found))


def _journal(config: Path | None, ask: Callable[[AuditStore], Any]) -> Any:
    from equipoise.build.store import audit_in
    from equipoise.stores.audit import AuditStore
    from equipoise.stores.sqlite import StoreError

    store = AuditStore(audit_in(configuration(config, quiet=True).config))
    try:
        return ask(store)
    except StoreError as error:
        raise Failure(str(error), USAGE) from error
    finally:
        store.close()


def _asked(url: str, since: str | None, who: str | None, limit: int) -> list[dict[str, Any]]:
    said = {"since": since, "who": who, "limit": str(limit)}

    async def asked() -> list[dict[str, Any]]:
        async with Remote(url) as remote:
            query = urlencode({name: value for name, value in said.items() if value is not None})
            return list((await remote.get(f"/admin/audit?{query}"))["entries"])

    return asyncio.run(asked())


def _row(entry: dict[str, Any]) -> tuple[Any, ...]:
    when = datetime.fromtimestamp(entry["wall"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    changed = "; ".join(f"{name}: {before} -> {after}" for name, (before, after) in entry["changed"].items())
    who = entry["who"] or "a stranger"
    return (when, who, entry["role"] or "", entry["action"], entry["target"], entry["outcome"], changed)
