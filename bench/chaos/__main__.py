"""`make chaos`: kill -9 one of three backends at a steady rate, before Equipoise, haproxy and Envoy alike.

    --rate 500 --seconds 60      30,000 whole answers in an open loop
    --streams 20                 streams a second beside them, reported apart
    --kill 20                    seconds after which the kill comes

Everything runs on this machine: three backends (20 ms to the first byte), the balancer and the load. Prints for each
balancer how many questions failed, p99 before the kill and after it, and after how long p99 was back. Exit code 1 when
Equipoise failed a whole answer, or p99 took longer than two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.chaos.contestants import CONTESTANTS, Contestant, process
from equipoise.cli.load_report import percentile
from equipoise.cli.loading import Load, Plan, Taken

BACKENDS = 3
WINDOW = 0.5
"""Seconds of questions over which a p99 is taken: 250 at 500 a second."""
RECOVERED = 1.5
"""A window is late when its p99 is more than so many times what it was before the kill,"""
SLACK_MS = 20.0
"""...and by more than this (ms)."""
STEADY = 2.0
"""p99 is back when for so many seconds no window was late; late ones after that are counted, beside those before the kill."""
GOAL = 2.0
Document = dict[str, Any]


async def killed(contestant: Contestant, said: argparse.Namespace) -> Document:
    """One run: load, kill, figures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with contextlib.AsyncExitStack() as stack:
            backends = [await stack.enter_async_context(_backend(folder, number)) for number in range(BACKENDS)]
            url = await stack.enter_async_context(contestant([port for port, _ in backends], folder))
            whole = Load(url, Plan(rate=said.rate, seconds=said.seconds, patience=30.0))
            streams = Load(url, Plan(rate=said.streams, seconds=said.seconds, streams=1.0, patience=30.0))
            await _warm(url)
            killing = asyncio.create_task(_kill(backends[0][1], said.kill))
            runs = [whole.run(), streams.run()] if said.streams else [whole.run()]
            await asyncio.gather(*runs)
            await killing
            return figures(whole.taken, streams.taken, said.kill)


def figures(whole: Sequence[Taken], streams: Sequence[Taken], kill: float) -> Document:
    """What a run came to; times in milliseconds."""
    before = p99([each for each in whole if 1.0 <= each.at < kill - 1.0])
    windows = [(end, found) for end, found in _windows(whole, kill) if end > 0.0]
    earlier = [(end, found) for end, found in _windows(whole, kill) if 1.0 - kill < end <= -1.0]
    back = recovered(windows, before)
    return {
        "questions": len(whole),
        "failed": sum(not each.answered for each in whole),
        "errors": dict(Counter(each.fate for each in whole if not each.answered)),
        "streams": len(streams),
        "streams_failed": sum(not each.answered for each in streams),
        "stream_errors": dict(Counter(each.fate for each in streams if not each.answered)),
        "p99_before_ms": before,
        "worst_p99_after_ms": max((found for _, found in windows), default=None),
        "p99_at_the_end_ms": p99([each for each in whole if each.at >= kill + 5.0]),
        "recovered_after_s": back,
        "late_windows_before": _late(earlier, before),
        "late_windows_after_recovery": _late([(end, found) for end, found in windows if end > (back or 0.0)], before),
        "generator_late_p99_ms": percentile(sorted(each.late * 1e3 for each in whole), 99),
    }


def _late(windows: Sequence[tuple[float, float]], before: float | None) -> str:
    late = sum(found > too_long(before or 0.0) for _, found in windows)
    return f"{late} of {len(windows)}"


def _windows(whole: Sequence[Taken], kill: float) -> list[tuple[float, float]]:
    """Seconds since the kill at which each window ends (before it: below 0), and its p99."""
    found: dict[int, list[Taken]] = {}
    for each in whole:
        found.setdefault(int((each.at - kill) // WINDOW), []).append(each)
    return [((number + 1) * WINDOW, p99(taken) or 0.0) for number, taken in sorted(found.items())]


def p99(taken: Sequence[Taken]) -> float | None:
    """In milliseconds; a failure is as long as it took, or 30 s where it was quick."""
    return percentile(sorted((each.seconds if each.answered else 30.0) * 1e3 for each in taken), 99)


def too_long(before: float) -> float:
    """The p99 (ms) from which a window counts as late."""
    return max(RECOVERED * before, before + SLACK_MS)


def recovered(windows: Sequence[tuple[float, float]], before: float | None) -> float | None:
    """Seconds from the kill until STEADY seconds without a late window begin; None if they never do."""
    if before is None:
        return None
    good, needed = 0, round(STEADY / WINDOW)
    for end, found in windows:
        good = 0 if found > too_long(before) else good + 1
        if good == needed:
            return max(0.0, end - STEADY)
    return None


async def _warm(url: str) -> None:
    """So that no contestant pays for its first connections in the figures."""
    await Load(url, Plan(rate=50, seconds=2.0)).run()


async def _kill(backend: asyncio.subprocess.Process, after: float) -> None:
    await asyncio.sleep(after)
    backend.kill()


@contextlib.asynccontextmanager
async def _backend(folder: Path, number: int) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    own = folder / f"backend-{number}"
    own.mkdir()
    async with process(sys.executable, "-m", "bench.chaos.backend", "0", folder=own) as running:
        assert running.stdout is not None
        yield int(await running.stdout.readline()), running


def shown(name: str, found: Document) -> str:
    """One row of the table."""
    back = found["recovered_after_s"]
    return (
        f"{name:<10} {found['failed']:>6} of {found['questions']:<6} {found['streams_failed']:>5} of {found['streams']:<5} "
        f"{_ms(found['p99_before_ms'])} {_ms(found['worst_p99_after_ms'])} {_ms(found['p99_at_the_end_ms'])} "
        f"{'never' if back is None else f'{back:.1f} s':>9}"
    )


def _ms(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.0f} ms':>9}"


HEAD = f"{'':<10} {'failed':>6} {'':<9} {'streams':>5} {'':<7}{'p99 before':>10}{'worst':>9}{'end':>10}{'p99 back':>10}"


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--streams", type=float, default=20.0)
    parser.add_argument("--kill", type=float, default=20.0)
    parser.add_argument("--only", choices=tuple(CONTESTANTS), action="append")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def main(said: argparse.Namespace) -> int:
    """Every contestant in turn."""
    found: dict[str, Document] = {}
    text = not said.json
    if text:
        print(
            f"kill -9 of one of {BACKENDS} backends after {said.kill:g} s of {said.rate:g} questions a second", end=""
        )
        print(f" and {said.streams:g} streams a second, {said.seconds:g} s in all\n\n{HEAD}")
    for name in said.only or CONTESTANTS:
        try:
            found[name] = await killed(CONTESTANTS[name], said)
        except RuntimeError as missing:
            print(f"{name}: not measured: {missing}", file=sys.stderr)
            continue
        if text:
            print(shown(name, found[name]), flush=True)
    print(json.dumps(found, indent=2) if said.json else _remarks(found))
    ours = found.get("equipoise")
    good = ours is None or (
        ours["failed"] == 0 and (ours["recovered_after_s"] or 0.0) <= GOAL and ours["recovered_after_s"] is not None
    )
    return 0 if good else 1


def _remarks(found: dict[str, Document]) -> str:
    lines = [""]
    for name, each in found.items():
        for fate, count in (each["errors"] | each["stream_errors"]).items():
            lines.append(f"{name}: {count} x {fate}")
        lines.append(
            f"{name}: late half seconds before the kill {each['late_windows_before']}, "
            f"after p99 was back {each['late_windows_after_recovery']}"
        )
        lines.append(f"{name}: the load was late by {each['generator_late_p99_ms']:.1f} ms at p99")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(uvloop.run(main(arguments())))
