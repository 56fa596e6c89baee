"""The word again, where more goes on: a house is moved, mails are sent, and processes are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from equipoise.cli import main
from tests.patience import until
from tests.wire.trust.parrot import Parrot
from tests.wire.trust.test_canary_string import Gateway, ask, files, held, pages, running, until_booked

ROLES = {1: frozenset({"control", "shadow"}), 5: frozenset({"candidate", "judge"})}
"""What there are records of, by phase."""


class Mailbox:
    """Keeps the mails that arrive."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.got.append(envelope.content)
        return "250 OK"


@asynccontextmanager
async def post_office() -> AsyncIterator[tuple[Mailbox, dict[str, Any]]]:
    """A mailbox, and what sends alerts there."""
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    email = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1], "minimum_severity": "info"}
    often = {"interval_seconds": 0.05, "minimum_requests": 1, "suppression_seconds": 0}
    try:
        yield mailbox, {"alert_email_recipients": ["ops@example.org"], "alerts": {**often, "email": email}}
    finally:
        server.close()


async def ask_some(gateway: Gateway, number: int) -> list[str]:
    """In every dialect, whole and streamed, of those that answer, break off and refuse; gives request ids."""
    models = ("good", "cut", "error500", "error401", "sonar", "graph-good", "auto", "failing-over")
    asked = [(model, stream) for model in models for stream in (False, True)]
    ids = [f"r-{number}-{place}" for place in range(len(asked))]
    await asyncio.gather(*(ask(gateway, *each, known) for each, known in zip(asked, ids, strict=True)))
    return ids


async def die(gateway: Gateway, pid: int, parrot: Parrot) -> None:
    """kill -9 while questions are answered there."""
    before = parrot.asked.count("slow")
    asked = [
        asyncio.create_task(ask(gateway, "slow", stream, "r-killed")) for stream in (False, True) for _ in range(8)
    ]
    await until(lambda: parrot.asked.count("slow") >= before + 8)
    os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*asked)


async def left_behind(folder: Path, gateway: Gateway, *others: list[bytes]) -> dict[str, bytes]:
    """What is in files, was printed, and was told to others."""
    told = {f"told others, {number}": text for number, text in enumerate(text for of in others for text in of)}
    return files(folder) | told | {"stdout and stderr": gateway.output}


async def test_no_word_stays_where_a_house_is_moved_on_uvicorn_and_dies(tmp_path: Path) -> None:
    """Old side, copies, new side; alerts by mail; the logs of a server that is not ours; and what kill -9 leaves."""
    async with post_office() as (mailbox, mail):
        moving = {"incumbent": {"function": "own:old"}, "shadow": {"share": 1.0, "max_usd_per_hour": 100.0}}
        async with running(tmp_path, "json", server="uvicorn", migration=moving, **mail) as (gateway, parrot, witness):
            ids = list[str]()
            for phase in (1, 5):
                order = json.dumps({"phase": phase, "force": True, "who": "ann", "why": "try"}).encode()
                moved = await gateway.admin.request("POST", "/admin/migration/apply", body=order)
                assert (moved.status, await moved.read())[0] == 200
                ids += await ask_some(gateway, phase)
                await until_booked(gateway, ROLES[phase])
            await until(lambda: mailbox.got)
            found = await pages(gateway, ids[::8], most=1)
            await die(gateway, gateway._process.pid, parrot)
            await gateway.stop()
    found |= await left_behind(tmp_path, gateway, mailbox.got, witness.heard)
    assert mailbox.got
    assert {"good", "error500"} <= set(parrot.asked)
    assert main(["ledger", "export", str(tmp_path / "all.jsonl"), "-c", str(tmp_path / "equipoise.json")]) == 0
    exported = (tmp_path / "all.jsonl").read_bytes()
    assert all(f'"role": "{role}'.encode() in exported for role in ROLES[1] | ROLES[5])
    assert held(found | {"export": exported}) == []


async def test_no_word_stays_where_one_of_two_workers_dies(tmp_path: Path) -> None:
    """Neither in what it held, nor in what its parent says of it, nor by mail."""
    async with (
        post_office() as (mailbox, mail),
        running(tmp_path, "json", "--workers", "2", server="uvicorn", **mail) as (gateway, parrot, witness),
    ):
        ids = await ask_some(gateway, 1)
        told = json.loads(await (await gateway.admin.request("GET", "/admin/backends")).read())
        await die(gateway, told["workers"]["running"][1]["pid"], parrot)
        await until(lambda: mailbox.got)
        found = await pages(gateway, ids[::4], most=1)
        await gateway.stop()
    found |= await left_behind(tmp_path, gateway, mailbox.got, witness.heard)
    assert mailbox.got
    assert {"good", "slow", "error500"} <= set(parrot.asked)
    assert held(found) == []
