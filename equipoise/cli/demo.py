"""`equipoise demo`"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from equipoise.cli.exits import OK, PROBLEMS, Failure
from equipoise.cli.output import say, tell

if TYPE_CHECKING:
    from equipoise.cli.demo_watch import Screen
    from equipoise.sandbox.demo.report import Report
    from equipoise.sandbox.demo.stage import Stage

Count = Annotated[int, Parameter(validator=validators.Number(gte=10, lte=100_000))]


def demo(
    *,
    questions: Count = 120,
    seed: int = 1,
    keep: bool = False,
    json: bool = False,
) -> int:
    """Start four engines on this machine and the gateway, ask, kill one engine in the middle, revive it, and account.

    Parameters
    ----------
    questions: int
        How many questions to ask.
    seed: int
        Another seed asks other questions in another order.
    keep: bool
        Leave everything running until Ctrl-C, and print a curl line to try.
    json: bool
        Print one JSON document at the end, alone on stdout.
    """
    from equipoise.cli.demo_watch import watcher
    from equipoise.sandbox.demo.processes import DemoFailed

    try:
        with watcher(quiet_stdout=json) as screen, tempfile.TemporaryDirectory(prefix="equipoise-demo-") as directory:
            return asyncio.run(_staged(Path(directory), questions, seed, screen, keep=keep, json=json))
    except DemoFailed as failed:
        raise Failure(str(failed), PROBLEMS) from failed


async def _staged(directory: Path, questions: int, seed: int, screen: Screen, *, keep: bool, json: bool) -> int:
    from equipoise.sandbox.demo.show import perform
    from equipoise.sandbox.demo.stage import Stage

    began = time.monotonic()
    async with Stage(directory, seed) as stage:
        report = await perform(stage, questions, seed, screen, began)
        screen.end()
        _print(report, json=json)
        if keep:
            await _kept(stage)
    return OK if report.good else PROBLEMS


def _print(report: Report, *, json: bool) -> None:
    if json:
        import msgspec

        say(msgspec.json.format(msgspec.json.encode(report)).decode())
        return
    from equipoise.cli.demo_report import show

    show(report)


async def _kept(stage: Stage) -> None:
    """Until Ctrl-C or SIGTERM."""
    tell(f"\nStill running: {stage.gateway.url} (admin {stage.gateway.admin_url}). Ctrl-C ends it. Try:")
    tell(curl(stage.gateway.url))
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as undo:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked.set)
            undo.callback(loop.remove_signal_handler, number)
        await asked.wait()
    sys.stderr.write("\n")


def curl(url: str) -> str:
    """A line to paste into a terminal."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "What is clinical metabolomics?"}]}'
    return f"  curl -i {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'"
