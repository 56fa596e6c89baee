"""`equipoise config set|reload|save` and `equipoise backends drain|resume`: a running gateway is told."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from equipoise.cli.backends import listed
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import Output, as_documents, remark, say
from equipoise.cli.remote import Remote
from equipoise.config.files import parse_yaml
from equipoise.gateway.configuring import CHANGE, RELOAD, SAVE


def set_values(
    *values: str,
    unset: list[str] | None = None,
    dry_run: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Change single values of a running gateway; they are validated whole and stay until saved or unset.

    Parameters
    ----------
    values: str
        field=value, such as backend_instances.papers.weight=2 or strategy=weighted.
    unset: list[str]
        Fields that go back to what the file says.
    dry_run: bool
        Only say what would come of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    body = {"set": dict(map(pair, values)), "unset": unset or [], "dry_run": dry_run}
    done(post(admin_url, CHANGE, body), output, json)


def reload(*, dry_run: bool = False, admin_url: str | None = None, output: Output = None, json: bool = False) -> None:
    """Have a running gateway read its configuration again; what is wrong with it is told, and the old one stays.

    Parameters
    ----------
    dry_run: bool
        Only say what would come of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    done(post(admin_url, RELOAD, {"dry_run": dry_run}), output, json)


def save(*, dry_run: bool = False, admin_url: str | None = None, output: Output = None, json: bool = False) -> None:
    """Write what was changed at run time into the gateway's file; its comments stay.

    Parameters
    ----------
    dry_run: bool
        Only say what would come of it.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    done(post(admin_url, SAVE, {"dry_run": dry_run}), output, json)


def drain(
    backend: str, /, *, dry_run: bool = False, admin_url: str | None = None, output: Output = None, json: bool = False
) -> None:
    """Give a backend no new questions; those under way end as they will.

    Parameters
    ----------
    backend: str
        Its id.
    dry_run: bool
        Only say what would come of it.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    _steered(backend, "drain", admin_url, output, json=json, dry_run=dry_run)


def resume(
    backend: str, /, *, dry_run: bool = False, admin_url: str | None = None, output: Output = None, json: bool = False
) -> None:
    """Take a drained backend back, with a slow start.

    Parameters
    ----------
    backend: str
        Its id.
    dry_run: bool
        Only say what would come of it.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    _steered(backend, "resume", admin_url, output, json=json, dry_run=dry_run)


def _steered(backend: str, verb: str, admin_url: str | None, output: str | None, *, json: bool, dry_run: bool) -> None:
    if dry_run:
        _would(backend, verb, asyncio.run(listed(admin_address(admin_url))))
        return
    told = post(admin_url, f"/admin/backends/{quote(backend, safe='')}/{verb}", {})
    if not as_documents(told, output, json):
        say(f"{backend}: {'draining' if verb == 'drain' else 'back'}")


def _would(backend: str, verb: str, rows: list[dict[str, Any]]) -> None:
    """What a command would do, by how the backends are now."""
    row = next((row for row in rows if row["id"] == backend), None)
    if row is None:
        raise Failure(f"there is no backend {backend}", hint=f"there are {', '.join(row['id'] for row in rows)}")
    others = [other["id"] for other in rows if other["id"] != backend and other["why_not"] is None]
    if row["draining"] == (verb == "drain"):
        say(f"{backend} is {'draining' if row['draining'] else 'not draining'} already: nothing would change")
    elif verb == "drain":
        say(f"would drain {backend}, {row['in_flight']} in flight; left: {', '.join(others) or 'nobody'}")
    else:
        say(f"would take {backend} back, with a slow start")


def pair(text: str) -> tuple[str, Any]:
    """field=value as a field and what the value means in YAML. Raises Failure (2)."""
    name, equals, value = text.partition("=")
    if not equals:
        raise Failure(f"{text} is not field=value", USAGE, "for example backend_instances.papers.weight=2")
    try:
        return name, parse_yaml(value)
    except ValueError as error:
        raise Failure(
            f"the value of {name} {error}", USAGE, "a text with signs of YAML wants quotes: 'field=\"…\"'"
        ) from error


def post(url: str | None, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the admin listener answers to a document. Raises Failure."""

    async def posted() -> dict[str, Any]:
        async with Remote(admin_address(url), seconds=60.0) as remote:
            return dict(await remote.post(path, body))

    return asyncio.run(posted())


def done(told: dict[str, Any], output: str | None, json: bool) -> None:
    if as_documents(told, output, json):
        return
    say(" ".join(str(part) for part in (told["outcome"], told.get("hash")) if part))
    for name in told.get("saved", ()):
        say(f"  {name}")
    for name, place in told.get("overridden", {}).items():
        remark(f"warning: {name} is in the file, but {place} overrides it")
    for name in told.get("needs_restart", ()):
        remark(f"warning: {name} waits for a restart")
    for warning in told.get("warnings", ()):
        remark(f"warning: {warning}")
