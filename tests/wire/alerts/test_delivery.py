"""Notices reach real servers over HTTP and SMTP, once, signed, and outlive a receiver that is away."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from equipoise.build.alerts import Memory
from equipoise.core.alerting import Board, Change, Condition, Notice, Severity, Timing
from equipoise.http import Request, Response, Server
from equipoise.stores.alerts import AlertStore
from equipoise.telemetry.alerts import Mail, MailServer, Outbox, Receiver, Undelivered, Webhook

KEY = "sk-abcdefghijklmnop123"


def notice(rule: str = "HighErrorRate", severity: Severity = Severity.CRITICAL, message: str = "16 % failed") -> Notice:
    condition = Condition(rule=rule, severity=severity, message=message, value=0.16, threshold=0.15)
    return Board(Timing()).look([condition], 1_790_000_000.0)[0]


class Hook:
    """A receiver's server: answers from a script, remembers what it got."""

    def __init__(self) -> None:
        self.script: list[Response] = []
        self.got: list[Request] = []
        self.server = Server(self._take)

    async def _take(self, request: Request) -> Response:
        self.got.append(request)
        return self.script.pop(0) if self.script else Response(204, ())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/hook?token=t"


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    it = Hook()
    await it.server.start("127.0.0.1", 0)
    yield it
    await it.server.drain(0)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    store = AlertStore(tmp_path / "alerts.sqlite3")
    yield Memory(store)
    store.close()


async def until(true: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.005)


async def soon(seconds: float) -> None:
    """Pauses between tries, made short."""
    await asyncio.sleep(min(seconds, 0.01))


async def test_a_webhook_is_signed_and_says_everything(hook: Hook) -> None:
    """The signature covers time and body; the receiver can tell a repetition by the delivery's id."""
    webhook = Webhook("ops", hook.url, secret="shared", runbooks="https://docs.example/runbook.html")
    await webhook.send(notice(), "d-1")
    await webhook.close()
    (got,) = hook.got
    assert (got.method, got.path, got.query) == ("POST", "/hook", "token=t")
    stamp, told = (part.partition("=")[2] for part in got.headers[b"x-equipoise-signature"].decode().split(","))
    wanted = hmac.new(b"shared", f"{stamp}.".encode() + got.body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(told, wanted)
    said = json.loads(got.body)
    assert (said["source"], said["change"], said["delivery"]) == ("equipoise", "fired", "d-1")
    assert said["alert"]["severity"] == "critical"
    assert said["alert"]["runbook_url"] == "https://docs.example/runbook.html#higherrorrate"
    assert got.headers[b"x-equipoise-delivery"] == b"d-1"


async def test_slack_gets_its_own_form_and_nothing_is_forged(hook: Hook) -> None:
    """No mention, no link, no key out of an error message."""
    webhook = Webhook("slack", hook.url, form="slack")
    await webhook.send(notice(message=f"<!channel> failed with {KEY}\n<http://evil|click>"), "d-1")
    await webhook.close()
    said = json.loads(hook.got[0].body)
    assert said["text"].startswith("[CRITICAL] HighErrorRate: &lt;!channel&gt; failed with [redacted]")
    assert said["attachments"][0]["color"] == "#c62828"
    assert "<" not in json.dumps(said)
    assert KEY not in json.dumps(said)


@pytest.mark.parametrize(("status", "final"), [(500, False), (429, False), (408, False), (404, True), (302, True)])
async def test_who_refuses_for_good_is_not_asked_again(hook: Hook, status: int, final: bool) -> None:
    """And a redirection is a refusal: nobody else's address is ever asked."""
    hook.script = [Response(status, ((b"location", b"http://127.0.0.1:1/"), (b"retry-after", b"7")), b"no")]
    webhook = Webhook("ops", hook.url)
    with pytest.raises(Undelivered) as raised:
        await webhook.send(notice(), "d-1")
    await webhook.close()
    assert (raised.value.final, raised.value.retry_after) == (final, 7.0)
    assert len(hook.got) == 1


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "file:///etc/passwd", "http://user:word@host/"])
def test_only_addresses_that_are_some(url: str) -> None:
    """What is no http(s) address, or holds a password, is refused at once."""
    with pytest.raises(ValueError, match="address"):
        Webhook("ops", url)


async def test_a_receiver_that_was_away_gets_everything_once_and_in_order(hook: Hook, memory: Memory) -> None:
    """Five failures, then all of it; the ids of a repeated try are the same."""
    hook.script = [Response(503, ()) for _ in range(5)]
    outbox = Outbox([Webhook("ops", hook.url)], memory, sleep=soon)
    await outbox.start()
    for rule in ("A", "B", "C"):
        await outbox.put(notice(rule))
    await until(lambda: outbox.status()[0]["sent"] == 3)
    await outbox.close()
    rules = [json.loads(got.body)["alert"]["rule"] for got in hook.got]
    assert rules == ["A"] * 6 + ["B", "C"]
    assert len({got.headers[b"x-equipoise-delivery"] for got in hook.got}) == 3
    assert await memory.waiting() == []


async def test_what_could_not_be_delivered_outlives_the_process(hook: Hook, memory: Memory, unused: int) -> None:
    """A new process delivers what the old one could not, and drops what was for a receiver that is gone."""
    away = [Webhook("ops", f"http://127.0.0.1:{unused}/"), Webhook("old", f"http://127.0.0.1:{unused}/")]
    first = Outbox(away, memory, sleep=soon)
    await first.start()
    await first.put(notice("A"))
    await until(lambda: all(row["error"] for row in first.status()))
    await first.close()
    assert [parcel.receiver for parcel in await memory.waiting()] == ["ops", "old"]
    second = Outbox([Webhook("ops", hook.url)], memory)
    await second.start()
    await until(lambda: second.status()[0]["sent"] == 1)
    await second.close()
    assert json.loads(hook.got[0].body)["alert"]["rule"] == "A"
    assert await memory.waiting() == []


async def test_a_full_queue_loses_its_oldest_and_says_so(
    memory: Memory, unused: int, caplog: pytest.LogCaptureFixture
) -> None:
    """An unreachable receiver takes bounded memory."""
    outbox = Outbox([Webhook("ops", f"http://127.0.0.1:{unused}/")], memory, capacity=3, sleep=soon)
    with caplog.at_level(logging.ERROR, "equipoise.alerts"):
        for number in range(10):
            await outbox.put(notice(f"R{number}"))
    assert (outbox.status()[0]["waiting"], outbox.status()[0]["lost"]) == (3, 7)
    assert [parcel.notice.alert.rule for parcel in await memory.waiting()] == ["R7", "R8", "R9"]
    assert len([record for record in caplog.records if record.message == "an alert is lost"]) == 7
    await outbox.close()


async def test_each_gets_what_it_wants(hook: Hook, memory: Memory) -> None:
    """By severity and by rule; a slow one keeps nobody waiting."""

    class Stuck:
        name = "stuck"

        def wants(self, notice: Notice) -> bool:
            return True

        async def send(self, notice: Notice, delivery: str) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            return None

    grave = Webhook("grave", hook.url, least=Severity.EMERGENCY)
    money = Webhook("money", hook.url, rules=frozenset({"BudgetNearlySpent"}))
    receivers: list[Receiver] = [Stuck(), grave, money]
    outbox = Outbox(receivers, memory)
    await outbox.start()
    for each in (notice(), notice("BudgetNearlySpent"), notice("NoHealthyBackend", Severity.EMERGENCY)):
        await outbox.put(each)
    await until(lambda: sum(row["sent"] for row in outbox.status()) == 2)
    await outbox.close(0.05)
    assert {row["name"]: row["sent"] for row in outbox.status()} == {"stuck": 0, "grave": 1, "money": 1}
    assert len(hook.got) == 2


class Inbox:
    """What a mail server's handler remembers."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.refuse = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuse:
            return self.refuse
        self.got.append(envelope)
        return "250 OK"


@pytest.fixture
async def post_office() -> AsyncIterator[tuple[Inbox, int]]:
    inbox = Inbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(inbox), "127.0.0.1", 0)
    yield inbox, server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_a_mail_arrives_at_everybody(post_office: tuple[Inbox, int]) -> None:
    """Readable, one thread an alert, no key in it, no header forged by a message."""
    inbox, port = post_office
    mail = Mail(MailServer(host="127.0.0.1", port=port, sender="eq@example.org"), ("a@example.org", "b@example.org"))
    await mail.send(notice(message=f"failed: {KEY}\r\nBcc: evil@example.org"), "d-1")
    (envelope,) = inbox.got
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    told = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert told["Subject"].strip().startswith("[CRITICAL] HighErrorRate: failed: [redacted]")
    assert told["Bcc"] is None
    assert "runbook" in told.get_content()
    assert KEY not in str(told)


@pytest.mark.parametrize(("answer", "final"), [("451 later", False), ("554 never", True)])
async def test_a_mail_server_may_refuse_for_now_or_for_good(
    post_office: tuple[Inbox, int], answer: str, final: bool
) -> None:
    """4xx is tried again, 5xx is not."""
    inbox, port = post_office
    inbox.refuse = answer
    with pytest.raises(Undelivered) as raised:
        await Mail(MailServer(host="127.0.0.1", port=port), ("a@example.org",)).send(notice(), "d-1")
    assert raised.value.final is final


async def test_starttls_that_is_not_offered_is_not_done_without(post_office: tuple[Inbox, int]) -> None:
    """Where encryption is demanded nothing goes out in the clear."""
    inbox, port = post_office
    server = MailServer(host="127.0.0.1", port=port, security="starttls")
    with pytest.raises(Undelivered):
        await Mail(server, ("a@example.org",)).send(notice(), "d-1")
    assert inbox.got == []


async def test_an_unreachable_mail_server_is_tried_again(unused: int) -> None:
    """Not for good."""
    with pytest.raises(Undelivered) as raised:
        await Mail(MailServer(host="127.0.0.1", port=unused), ("a@example.org",)).send(notice(), "d-1")
    assert raised.value.final is False


def test_a_resolved_one_says_so() -> None:
    """In the headline."""
    from equipoise.telemetry.alerts.forms import headline

    board = Board(Timing(clear=0.0))
    board.look([Condition(rule="HighLatency", severity=Severity.WARNING, message="slow")], 0.0)
    (over,) = board.look([], 60.0)
    assert over.change is Change.RESOLVED
    assert headline(over) == "[RESOLVED] HighLatency: slow"
