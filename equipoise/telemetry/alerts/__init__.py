"""Alerts that are sent: what is wrong becomes notices, and notices reach their receivers."""

from equipoise.telemetry.alerts.desk import AlertDesk
from equipoise.telemetry.alerts.mail import Mail, MailServer
from equipoise.telemetry.alerts.outbox import Outbox, Receiver, Undelivered
from equipoise.telemetry.alerts.webhook import Webhook

__all__ = ["AlertDesk", "Mail", "MailServer", "Outbox", "Receiver", "Undelivered", "Webhook"]
