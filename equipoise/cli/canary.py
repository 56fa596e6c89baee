"""`equipoise canary start|status|promote|pause|resume|abort|undo|set-weight|ls`"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli import canary_report as report
from equipoise.cli.candidate import given, percent
from equipoise.cli.exits import OK, PROBLEMS, REFUSED, Failure
from equipoise.cli.migrating import admin_url as admin
from equipoise.cli.migrating import myself
from equipoise.cli.output import Output, as_documents, say, tell
from equipoise.cli.remote import Remote
from equipoise.core.ladder import Command
from equipoise.gateway.canarying import START, STATE

Document = dict[str, Any]
Watch = Annotated[bool, Parameter(name=["--watch", "-w"])]
EVERY = 1.0
OVER = ("none", "promoted", "ended")


def start(
    *,
    candidate: Path | None = None,
    set: tuple[str, ...] = (),  # noqa: A002 - the option's name
    at: str = "5%",
    whole: bool = False,
    force: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Send a few percent of keys to a candidate; it is watched after every question and rolled back by itself.

    Exit code 0 when it was started, 4 when that was refused.

    Parameters
    ----------
    candidate: Path
        What differs from the running configuration, as YAML: a strategy, weights, a model, a backend, or all of it.
    set: tuple[str, ...]
        Instead of a file, or besides: field=value, such as strategy=cost_optimized; may be given again.
    at: str
        Percent of keys to begin with.
    whole: bool
        The file is a whole configuration: what it does not say is the default, not the running value.
    force: bool
        Pass over names that clients may ask for and the candidate does not know, and over a missing replay verdict.
    dry_run: bool
        Only say what would differ.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    name, text = given(candidate, set)
    body = {"candidate": text, "name": name, "at": percent(at), "whole": whole, "force": force, "dry_run": dry_run}
    return _ordered(START, body, who, why, admin_url, "json" if json else output, yes=yes or dry_run)


def status(*, watch: Watch = False, output: Output = None, admin_url: str | None = None, json: bool = False) -> int:
    """Show where the canary stands, the evidence measure by measure, and what is waited for.

    With --watch exit code 0 when it was promoted, 1 when it was rolled back.

    Parameters
    ----------
    watch: bool
        Look again every second until it is over.
    output: Output
        Its form.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    found = _get(admin_url)
    if not watch:
        if not as_documents(found, output, json):
            report.standing(found)
        return OK
    shown = ""
    while found["stage"] not in OVER:
        line = report.line(found)
        if line != shown:
            say(line)
        shown = line
        time.sleep(EVERY)
        found = _get(admin_url)
    report.standing(found)
    return PROBLEMS if found["stage"] == "ended" else OK


def promote(
    *,
    full: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Climb one rung by order, whatever was shown so far.

    Parameters
    ----------
    full: bool
        All rungs at once: everything goes to the candidate.
    dry_run: bool
        Only say what would be done.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    body = {"full": full, "dry_run": dry_run}
    return _ordered(_path(Command.PROMOTE), body, who, why, admin_url, "json" if json else output, yes=yes or dry_run)


def pause(
    *,
    dry_run: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Stay on this rung; what is shown to be worse is still rolled back.

    Parameters
    ----------
    dry_run: bool
        Only say what would be done.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    return _ordered(_path(Command.PAUSE), {"dry_run": dry_run}, who, why, admin_url, "json" if json else output)


def resume(
    *,
    dry_run: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Climb again.

    Parameters
    ----------
    dry_run: bool
        Only say what would be done.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    return _ordered(_path(Command.RESUME), {"dry_run": dry_run}, who, why, admin_url, "json" if json else output)


def abort(
    *,
    dry_run: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Give everything back to the control, at once; nothing is asked first.

    Parameters
    ----------
    dry_run: bool
        Only say what would be done.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    return _ordered(_path(Command.ABORT), {"dry_run": dry_run}, who, why, admin_url, "json" if json else output)


def undo(
    *,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Go back to the share before the last change, and stay there; before the first there was none.

    Parameters
    ----------
    dry_run: bool
        Only say what would be done.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    return _ordered(
        _path(Command.UNDO), {"dry_run": dry_run}, who, why, admin_url, "json" if json else output, yes=yes or dry_run
    )


def set_weight(
    weight: str,
    *,
    dry_run: bool = False,
    yes: bool = False,
    who: str | None = None,
    why: str = "",
    output: Output = None,
    admin_url: str | None = None,
    json: bool = False,
) -> int:
    """Send exactly so many percent of keys to the candidate.

    Parameters
    ----------
    weight: str
        Percent of keys, above 0 and below 100.
    dry_run: bool
        Only say what would be done.
    yes: bool
        Do not ask before moving live traffic.
    who: str
        Who orders it, for the journal (default: user@host).
    why: str
        Why, for the journal.
    output: Output
        The form of what comes of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    body = {"weight": percent(weight), "dry_run": dry_run}
    return _ordered(
        _path(Command.SET_WEIGHT), body, who, why, admin_url, "json" if json else output, yes=yes or dry_run
    )


def ls(*, output: Output = None, admin_url: str | None = None, json: bool = False) -> int:
    """List what happened to the present canary and to those before it, newest first.

    Parameters
    ----------
    output: Output
        Its form.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    json: bool
        Print one JSON document.
    """
    entries = _get(admin_url)["journal"]
    if not as_documents(entries, output, json):
        report.journal(entries)
    return OK


def _path(command: Command) -> str:
    return f"{STATE}/{command.value}"


def _get(url: str | None) -> Document:
    async def get() -> Document:
        async with Remote(admin(url)) as remote:
            return dict(await remote.get(STATE))

    return asyncio.run(get())


def _ordered(
    path: str, body: Document, who: str | None, why: str, url: str | None, output: str | None, *, yes: bool = True
) -> int:
    if not yes:
        _agree()

    async def post() -> Document:
        async with Remote(admin(url), seconds=60.0) as remote:
            return dict(await remote.post(path, body | {"who": who or myself(), "why": why}))

    found = asyncio.run(post())
    if not as_documents(found, output, json=False):
        report.outcome(found)
    return REFUSED if found["outcome"] == "refused" else OK


def _agree() -> None:
    """Moving traffic wants a yes: from the option, or from a person at a terminal."""
    what = "This moves live traffic."
    if not sys.stdin.isatty():
        raise Failure(what, REFUSED, "--yes agrees to it, --dry-run only says what would be done")
    tell(f"{what} Go on? [y/N] ")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("nothing was changed", REFUSED)
