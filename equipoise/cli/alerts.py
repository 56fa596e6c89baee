"""`equipoise alerts ls|ack|test`"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

from equipoise.cli.exits import OK, PROBLEMS, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.migrating import myself
from equipoise.cli.output import DIM, Output, as_documents, painted, remark, say, table
from equipoise.cli.remote import Remote
from equipoise.gateway.alerting import ACK, ALERTS, TEST

COLUMNS = ("id", "severity", "rule", "about", "since", "acknowledged by", "message")
TOLD = ("when", "change", "severity", "rule", "about", "message")


def ls(*, history: bool = False, admin_url: str | None = None, output: Output = None, json: bool = False) -> int:
    """List what is wrong with a running gateway. Exit code 1 when anything is critical or an emergency.

    Parameters
    ----------
    history: bool
        What was told lately, too.
    admin_url: str
        Its admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    told = _asked(admin_url, lambda remote: remote.get(ALERTS))
    if not as_documents(told, output, json):
        _print(told, history=history)
    bad = any(alert["severity"] in ("critical", "emergency") for alert in told["active"])
    return PROBLEMS if bad else OK


def ack(
    alert: str, /, *, who: str | None = None, admin_url: str | None = None, output: Output = None, json: bool = False
) -> None:
    """Acknowledge an alert: it is looked after, and there are no more reminders of it.

    Parameters
    ----------
    alert: str
        Its id, as `equipoise alerts ls` shows it.
    who: str
        Who looks after it; you when absent.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    body = {"id": alert, "who": who or myself()}
    told = _asked(admin_url, lambda remote: remote.post(ACK, body))
    if not as_documents(told, output, json):
        say(f"{alert}: looked after by {told['acknowledged']['acknowledged_by']}")


def send_test(
    receiver: str | None = None, /, *, admin_url: str | None = None, output: Output = None, json: bool = False
) -> None:
    """Send a test notice, and see whether it arrives. Exit code 1 when there is nobody to send it to.

    Parameters
    ----------
    receiver: str
        One receiver's name; all when absent.
    admin_url: str
        The gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    told = _asked(admin_url, lambda remote: remote.post(TEST, {"receiver": receiver}))
    if not told["sent_to"]:
        raise Failure(
            "nobody is told of alerts", PROBLEMS, "set alert_webhook_url, alerts.webhooks or alert_email_recipients"
        )
    if not as_documents(told, output, json):
        say(f"on its way to {', '.join(told['sent_to'])}; `equipoise alerts ls` shows the queue")


def _print(told: dict[str, Any], *, history: bool) -> None:
    if told["active"]:
        table(COLUMNS, [_row(alert) for alert in told["active"]])
    else:
        say("nothing is wrong")
    for row in told["receivers"]:
        if row["error"] or row["lost"]:
            remark(f"warning: {row['name']}: {row['waiting']} wait, {row['lost']} lost: {row['error']}")
    if history and told["history"]:
        say(painted("told lately", DIM))
        table(TOLD, [(_when(of["wall"]), of["change"], *_named(of["alert"])) for of in told["history"]])


def _row(alert: dict[str, Any]) -> tuple[Any, ...]:
    severity, rule, subject, message = _named(alert)
    return (alert["id"], severity, rule, subject, _when(alert["since"]), alert["acknowledged_by"], message)


def _named(alert: dict[str, Any]) -> tuple[str, str, str, str]:
    return alert["severity"], alert["rule"], alert["subject"], alert["message"]


def _when(wall: float) -> str:
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _asked(url: str | None, ask: Callable[[Remote], Coroutine[Any, Any, Any]]) -> dict[str, Any]:
    async def asked() -> dict[str, Any]:
        async with Remote(admin_address(url)) as remote:
            return dict(await ask(remote))

    return asyncio.run(asked())
