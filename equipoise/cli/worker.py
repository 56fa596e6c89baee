"""A worker's process: started by `equipoise serve --workers N`, for nobody to start by hand."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import msgspec

from equipoise.cli.app import complain
from equipoise.cli.configured import configuration
from equipoise.cli.exits import INTERRUPTED, Failure
from equipoise.cli.serve import admission, looped
from equipoise.cli.working import Worker, changes_of, stopped_with_the_parent
from equipoise.workers.member import Member
from equipoise.workers.messages import ASSIGN, Assignment
from equipoise.workers.slices import Slices

ASSIGNED_SECONDS = 30.0
CRASHED_SECONDS = 60.0
"""How long limits a minute may have been used up by the worker before this one."""


def main(number: int) -> int:
    """Serve as one of several; `number` is the file descriptor that leads to the parent. Returns the exit code."""
    end = socket.socket(fileno=number)
    try:
        return looped(_serve(end))
    except Failure as failure:
        complain(str(failure))
        return failure.code
    except KeyboardInterrupt:
        return INTERRUPTED


async def _serve(end: socket.socket) -> int:
    from equipoise.cli.serving import run

    assigned: asyncio.Future[Assignment] = asyncio.get_running_loop().create_future()

    async def take(raw: bytes) -> None:
        assigned.set_result(msgspec.msgpack.decode(raw, type=Assignment))

    member = Member({ASSIGN: take})
    await member.channel.open(end)
    talking = asyncio.create_task(member.channel.run(), name="talk to the parent")
    async with asyncio.timeout(ASSIGNED_SECONDS):
        assignment = await assigned
    member.slices = slices_of(assignment)
    file = None if assignment.file is None else Path(assignment.file)
    overlay = changes_of(assignment.overlay)
    loaded = configuration(file, assignment.flags, changes=overlay, quiet=True)
    worker = Worker(member, assignment.port, overlay)
    ending = asyncio.create_task(stopped_with_the_parent(talking, worker.stop), name="the parent")
    admit = admission(loaded.config.listen, insecure=assignment.insecure)
    try:
        return await run(loaded, assignment.flags, admit, worker)
    finally:
        ending.cancel()
        await member.channel.finish()
        await asyncio.wait({talking})


def slices_of(assignment: Assignment) -> Slices:
    """What this worker holds of limits; after a crash all of it may have been used a moment ago."""
    slices = Slices(assignment.slot, assignment.count, time.monotonic, assignment.shares)
    if assignment.crashed:
        slices.crashed_until = time.monotonic() + CRASHED_SECONDS
    return slices
