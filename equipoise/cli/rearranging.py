"""`equipoise backends add|update|rm`: backends come, change and go while a gateway runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from equipoise.cli.agreeing import agree
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.output import Output
from equipoise.cli.steering import done, pair, post
from equipoise.gateway.backends import ADD, REMOVE, UPDATE


def add(
    backend: str,
    /,
    *fields: str,
    dry_run: bool = False,
    yes: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Add a backend to a running gateway. It stays until the gateway stops, or for good with `equipoise config save`.

    The admin listener must have a key (listen.admin_key); EQUIPOISE_ADMIN_KEY is shown to it.

    Parameters
    ----------
    backend: str
        Its id.
    fields: str
        field=value, such as backend_type=lightrag endpoint_url=http://papers:9621 api_key='${PAPERS_KEY}'.
    dry_run: bool
        Only say what would come of it.
    yes: bool
        Do not ask before questions and keys are sent there.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    body = {"settings": _settings(fields), "dry_run": dry_run}
    agree(yes or dry_run, f"Questions, and its key, will be sent to {backend}.")
    done(post(admin_url, _path(backend, ADD), body), output, json)


def update(
    backend: str,
    /,
    *fields: str,
    dry_run: bool = False,
    yes: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Change fields of a running gateway's backend, its address and key too; questions under way end as they began.

    Parameters
    ----------
    backend: str
        Its id.
    fields: str
        field=value, such as endpoint_url=http://papers-2:9621 weight=2.
    dry_run: bool
        Only say what would come of it.
    yes: bool
        Do not ask before live questions are sent by the new fields.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    body = {"settings": _settings(fields), "dry_run": dry_run}
    agree(yes or dry_run, f"Live questions will be sent to {backend} by the new fields.")
    done(post(admin_url, _path(backend, UPDATE), body), output, json)


def rm(
    backend: str,
    /,
    *,
    dry_run: bool = False,
    yes: bool = False,
    admin_url: str | None = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Take a backend away from a running gateway; its questions under way are answered.

    Parameters
    ----------
    backend: str
        Its id.
    dry_run: bool
        Only say what would come of it.
    yes: bool
        Do not ask before it goes.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    agree(yes or dry_run, f"{backend} will be asked nothing any more.")
    done(post(admin_url, _path(backend, REMOVE), {"dry_run": dry_run}), output, json)


def _settings(fields: tuple[str, ...]) -> dict[str, Any]:
    if not fields:
        raise Failure("no field is given", USAGE, "for example backend_type=lightrag endpoint_url=http://papers:9621")
    return dict(map(pair, fields))


def _path(backend: str, verb: str) -> str:
    return f"/admin/backends/{quote(backend, safe='')}/{verb}"
