"""`equipoise demo`"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from equipoise.cli.exits import OK, PROBLEMS, USAGE, Failure
from equipoise.cli.output import say, tell

if TYPE_CHECKING:
    from equipoise.cli.demo_watch import Screen
    from equipoise.sandbox.demo.report import Report
    from equipoise.sandbox.demo.stage import Stage

Count = Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=100_000))]
QUESTIONS, REAL_QUESTIONS = 120, 10


def demo(
    *,
    questions: Count = None,
    seed: int = 1,
    keep: bool = False,
    json: bool = False,
    real: bool = False,
    corpus: Path | None = None,
    state_dir: Path | None = None,
) -> int:
    """Start four engines on this machine and the gateway, ask, kill one engine in the middle, revive it, and account.

    Parameters
    ----------
    questions: int
        How many questions to ask (default 120; 10 with --real).
    seed: int
        Another seed asks other questions in another order.
    keep: bool
        Leave everything running until Ctrl-C, and print a curl line to try.
    json: bool
        Print one JSON document at the end, alone on stdout.
    real: bool
        Install and run real software instead: a LightRAG server and a small language model.
    corpus: Path
        With --real: a directory of texts to read instead of our own.
    state_dir: Path
        With --real: where software is installed and logs are kept (default: the user's cache directory).
    """
    if real:
        from equipoise.sandbox.real.demo import run_real_demo

        return run_real_demo(corpus, questions or REAL_QUESTIONS, json, keep, state_dir)
    if corpus or state_dir:
        raise Failure("--corpus and --state-dir belong to --real", USAGE)
    return _sandboxed(questions or QUESTIONS, seed, keep=keep, json=json)


def _sandboxed(questions: int, seed: int, *, keep: bool, json: bool) -> int:
    from equipoise.cli.demo_watch import watcher
    from equipoise.sandbox.demo.processes import DemoFailed

    signal.signal(signal.SIGTERM, _interrupted)
    try:
        with watcher(quiet_stdout=json) as screen, tempfile.TemporaryDirectory(prefix="equipoise-demo-") as directory:
            return asyncio.run(_staged(Path(directory), questions, seed, screen, keep=keep, json=json))
    except DemoFailed as failed:
        raise Failure(str(failed), PROBLEMS) from failed


def _interrupted(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the children as Ctrl-C does."""
    raise KeyboardInterrupt


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
