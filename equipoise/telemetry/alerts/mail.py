"""Notices by e-mail, through the operator's own server."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from typing import Literal

import msgspec

from equipoise.core.alerting import Notice, Severity
from equipoise.telemetry.alerts.forms import as_mail
from equipoise.telemetry.alerts.outbox import Undelivered

Security = Literal["auto", "starttls", "tls", "none"]


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mails are handed in. `auto` encrypts where the server offers it; `starttls` and `tls` insist."""

    host: str = "localhost"
    port: int = 25
    security: Security = "auto"
    username: str | None = None
    password: str | None = None
    sender: str = "equipoise@localhost"
    ca_file: str | None = None
    seconds: float = 15.0


class Mail:
    """One receiver for all recipients."""

    name = "email"

    def __init__(
        self,
        server: MailServer,
        recipients: tuple[str, ...],
        *,
        least: Severity = Severity.WARNING,
        runbooks: str = "",
    ) -> None:
        self._server, self._recipients, self._least, self._runbooks = server, recipients, least, runbooks

    def wants(self, notice: Notice) -> bool:
        """Is it bad enough?"""
        return notice.alert.severity.rank >= self._least.rank

    async def send(self, notice: Notice, delivery: str) -> None:
        """Hand one mail in. Raises Undelivered: for good where the server refuses it for good (5xx)."""
        mail = as_mail(notice, self._runbooks, self._server.sender, self._recipients)
        mail["Message-ID"] = f"<{delivery}@equipoise.invalid>"
        try:
            await asyncio.to_thread(self._hand_in, mail.as_bytes())
        except smtplib.SMTPResponseException as error:
            why = f"the mail server answered {error.smtp_code}: {error.smtp_error!r}"
            raise Undelivered(why, final=error.smtp_code >= 500) from error
        except smtplib.SMTPRecipientsRefused as error:
            final = all(code >= 500 for code, _ in error.recipients.values())
            raise Undelivered("the mail server refuses every recipient", final=final) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Undelivered(f"the mail server cannot be reached: {error}") from error

    async def close(self) -> None:
        """Nothing stays open."""

    def _hand_in(self, mail: bytes) -> None:
        server = self._server
        with self._connected() as connection:
            if server.username is not None:
                connection.login(server.username, server.password or "")
            connection.sendmail(server.sender, list(self._recipients), mail)

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        context = ssl.create_default_context(cafile=server.ca_file)
        if server.security == "tls":
            return smtplib.SMTP_SSL(server.host, server.port, timeout=server.seconds, context=context)
        connection = smtplib.SMTP(server.host, server.port, timeout=server.seconds)
        try:
            connection.ehlo()
            if server.security == "starttls" or (server.security == "auto" and connection.has_extn("starttls")):
                connection.starttls(context=context)
        except BaseException:
            connection.close()
            raise
        return connection
