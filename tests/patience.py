"""Waiting for what comes: for as long as a busy machine may take, and no longer than it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SECONDS = 10.0
TURNS = 100
DAY = 86_400.0


async def until(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return as soon as it is true; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def turns(count: int = TURNS) -> None:
    """Let everything that waits for nothing but its turn go on, however fast the clock is."""
    for _ in range(count):
        await asyncio.sleep(0)


def within_one_day(seconds: float = 30.0) -> None:
    """So many seconds of this day (UTC) are left, or the next one has begun."""
    left = DAY - time.time() % DAY
    if left < seconds:
        time.sleep(left + 0.1)


def until_true(true: Callable[[], object], seconds: float = SECONDS) -> None:
    """`until`, where no loop runs."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
