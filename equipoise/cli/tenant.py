"""`equipoise tenant content` and `purge`: what is kept of a tenant's questions, and its removal"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from equipoise.cli.agreeing import agree
from equipoise.cli.configured import configuration
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.key_stores import noted
from equipoise.cli.output import Output, as_documents, harmless, remark, say
from equipoise.cli.times import moment

if TYPE_CHECKING:
    from equipoise.config import Config

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]


def content(
    name: str,
    /,
    *,
    request: str | None = None,
    limit: int = 20,
    config: ConfigFile = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Show the words of a tenant's questions and answers that were kept, the latest first; needs `content` for it.

    Parameters
    ----------
    name: str
        The tenant.
    request: str
        Only this request.
    limit: int
        At most so many.
    config: Path
        The configuration whose gateway is meant; otherwise the one that `serve` would take.
    output: str
        json or yaml.
    json: bool
        Print one JSON document.
    """
    from equipoise.stores.contents import kept_of
    from equipoise.stores.sqlite import StoreError

    loaded = configuration(config, quiet=True).config
    place = _place(loaded)
    try:
        rows = kept_of(place, name, request, limit) if place.is_file() else []
    except StoreError as error:
        raise Failure(str(error), USAGE) from error
    noted(loaded, "content", name, noun="tenant", request=request, questions=len(rows))
    if as_documents(rows, output, json):
        return
    if not rows:
        remark(f"no words of {name} are kept")
    for row in rows:
        answer = row["answer"] if row["answer"] is not None else f"(no answer: {row['error_code']})"
        say(f"{row['request_id']}  {row['mode']}  {row['backend_id'] or '-'}")
        say(f"{harmless(row['question'])}\n\n{harmless(answer)}\n")


def purge(
    name: str,
    /,
    *,
    before: str | None = None,
    books: bool = False,
    yes: bool = False,
    dry_run: bool = False,
    config: ConfigFile = None,
) -> None:
    """Remove the words that were kept of a tenant, and from the ledger what tells of its questions; gateways may run.

    In the ledger hash, features, session, tags and error text go; tokens, costs and times stay, so that the bill is whole.

    Parameters
    ----------
    name: str
        The tenant.
    before: str
        Only what is older than this (30d, 2027-01-01); otherwise everything until now.
    books: bool
        The ledger's records too, with their costs, and what was said of the answers.
    yes: bool
        Do not ask.
    dry_run: bool
        Only say what would be removed.
    config: Path
        The configuration whose stores are meant; otherwise the one that `serve` would take.
    """
    from msgspec.structs import asdict

    from equipoise.build.store import ledger_in
    from equipoise.stores.purging import purge as purged
    from equipoise.stores.sqlite import StoreError

    loaded = configuration(config, quiet=True).config
    until = time.time() if before is None else moment(before)
    agree(yes or dry_run, f"What is kept of {name}'s questions will be gone for ever.")
    try:
        found = purged(ledger_in(loaded, at_leisure=True), _place(loaded), name, until, books=books, dry_run=dry_run)
    except StoreError as error:
        raise Failure(str(error), USAGE) from error
    if not dry_run:
        noted(loaded, "purge", name, noun="tenant", until=until, books=books, **asdict(found))
    verb = "would be" if dry_run else "were"
    say(f"{name}: the words of {found.words} questions {verb} removed")
    if books:
        say(f"{name}: {found.removed} records of the ledger {verb} removed")
    else:
        say(f"{name}: {found.forgotten} records of the ledger {verb} reduced to their bill")
    remark("an answer kept for an Idempotency-Key is in the gateway's memory only, and gone in `idempotency.seconds`")
    remark(f"answers that a route's `cache` keeps are in its memory, too: equipoise cache purge --tenant {name}")


def _place(config: Config) -> Path:
    from equipoise.stores.contents import FILE

    return config.state_path / FILE
