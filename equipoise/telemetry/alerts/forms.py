"""A notice as JSON, as a Slack message and as a mail. Pure; secrets are masked in all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import msgspec

from equipoise.core.alerting import Change, Notice, Severity
from equipoise.telemetry.lines import cleaned

SOURCE = "equipoise"
COLOURS = {
    Severity.INFO: "#2e7d32",
    Severity.WARNING: "#b26a00",
    Severity.CRITICAL: "#c62828",
    Severity.EMERGENCY: "#6a1b9a",
}
GOOD = "#2e7d32"
LONGEST = 1_000


def moment(wall: float) -> str:
    """Unix seconds as ISO 8601 in UTC."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def headline(notice: Notice) -> str:
    """One line: what happened, how bad, about what."""
    alert = notice.alert
    word = "RESOLVED" if notice.change is Change.RESOLVED else alert.severity.upper()
    about = f" ({cleaned(alert.subject)})" if alert.subject else ""
    return f"[{word}] {alert.rule}{about}: {cleaned(alert.message)[:LONGEST]}"


def runbook(notice: Notice, base: str) -> str:
    """The address of what to do about it: one section a rule."""
    return f"{base}#{notice.alert.rule.lower()}"


def as_json(notice: Notice, runbooks: str) -> dict[str, Any]:
    """The specification's `{alert, timestamp, source}`, with what changed and where to read on."""
    alert = msgspec.to_builtins(notice.alert)
    alert |= {"message": cleaned(notice.alert.message)[:LONGEST], "runbook_url": runbook(notice, runbooks)}
    return {"alert": alert, "change": notice.change.value, "timestamp": moment(notice.wall), "source": SOURCE}


def as_slack(notice: Notice, runbooks: str) -> dict[str, Any]:
    """An incoming webhook's message; `text` is what notifications show."""
    alert = notice.alert
    colour = GOOD if notice.change is Change.RESOLVED else COLOURS[alert.severity]
    fields = {"Severity": alert.severity.value, "Change": notice.change.value, "Since": moment(alert.since)}
    if alert.value is not None:
        fields["Value"] = f"{alert.value:g}" + (f" (bound {alert.threshold:g})" if alert.threshold is not None else "")
    attachment = {
        "color": colour,
        "fallback": _slack(headline(notice)),
        "fields": [{"title": title, "value": _slack(text), "short": True} for title, text in fields.items()],
        "footer": f"{SOURCE} · {alert.id} · {_slack(runbook(notice, runbooks))}",
        "ts": int(notice.wall),
    }
    return {"text": _slack(headline(notice)), "attachments": [attachment]}


def as_mail(notice: Notice, runbooks: str, sender: str, recipients: tuple[str, ...]) -> EmailMessage:
    """A plain text mail; mails of one alert make one thread."""
    alert, mail = notice.alert, EmailMessage()
    mail["Subject"] = headline(notice)[:180]
    mail["From"], mail["To"] = sender, ", ".join(recipients)
    mail["References"] = f"<{alert.id}@{SOURCE}.invalid>"
    mail["Auto-Submitted"] = "auto-generated"
    bound = "" if alert.threshold is None else f" (bound {alert.threshold:g})"
    lines = [
        headline(notice),
        "",
        f"change    {notice.change}",
        f"since     {moment(alert.since)}",
        f"now       {moment(notice.wall)}",
        f"value     {alert.value:g}{bound}" if alert.value is not None else "",
        f"runbook   {runbook(notice, runbooks)}",
        "",
        f"equipoise alerts ack {alert.id}",
    ]
    mail.set_content("\n".join(line for index, line in enumerate(lines) if line or lines[index - 1]) + "\n")
    return mail


def _slack(text: str) -> str:
    """Nobody mentions a channel or forges a link by an error message."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
