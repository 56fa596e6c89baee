"""Counts reach the store once each, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping

import pytest

from equipoise.balancer import Unanswered
from equipoise.migration.tallies import Tallies, evidence
from equipoise.stores import StoreError


class Shelf:
    """A store that fails when it is told to."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[int, str]] = Counter()
        self.broken = False

    def add(self, topic: str, era: int, amounts: Mapping[str, float]) -> None:
        if self.broken:
            raise StoreError("disk I/O error")
        for name, amount in amounts.items():
            self.sums[era, name] += amount  # type: ignore[assignment]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def tallies(shelf: Shelf) -> Tallies:
    return Tallies(shelf)  # type: ignore[arg-type]


async def test_what_could_not_be_written_is_written_later(shelf: Shelf, tallies: Tallies) -> None:
    """Together with what was counted meanwhile."""
    tallies.failed(1, "candidate")
    shelf.broken = True
    with pytest.raises(StoreError):
        await tallies.flush()
    tallies.failed(1, "candidate")
    shelf.broken = False
    await tallies.flush()
    await tallies.flush()
    assert shelf.sums == {(1, "candidate.requests"): 2}


async def test_a_cancelled_caller_makes_nothing_count_twice(shelf: Shelf, tallies: Tallies) -> None:
    """The writing goes on without it; the next flush waits for it."""
    for era in range(5):
        tallies.add(era, "shadow", compared=1, overlap=0.5)
        caller = asyncio.create_task(tallies.flush())
        await asyncio.sleep(0)
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
    await tallies.flush()
    assert shelf.sums == {
        (era, f"shadow.{name}"): n for era in range(5) for name, n in (("compared", 1), ("overlap", 0.5))
    }


async def test_flushes_at_once_lose_nothing(shelf: Shelf, tallies: Tallies) -> None:
    """Each returns when everything counted before it is written."""
    counted: list[int] = []

    async def person() -> None:
        tallies.failed(1, "candidate")
        counted.append(1)
        mine = len(counted)
        await tallies.flush()
        assert shelf.sums[1, "candidate.requests"] >= mine

    await asyncio.gather(*(person() for _ in range(20)))
    assert shelf.sums[1, "candidate.requests"] == 20


@pytest.mark.parametrize(
    ("role", "code", "counts"),
    [
        ("candidate", "upstream_error", True),
        ("candidate", "no_healthy_backend", True),
        ("candidate", "invalid_request_error", False),
        ("candidate", "context_length_exceeded", False),
        ("candidate", "budget_exceeded", True),
        ("shadow", "budget_exceeded", False),
        ("validation", "budget_exceeded", False),
        ("shadow", "upstream_timeout", True),
    ],
)
async def test_only_what_speaks_about_a_side_is_evidence(
    shelf: Shelf, tallies: Tallies, role: str, code: str, counts: bool
) -> None:
    """Neither the caller's mistakes nor our own purse."""
    tallies.unanswered(1, role, Unanswered(code, "no"))
    await tallies.flush()
    assert bool(shelf.sums) is counts


def test_evidence_is_read_back_by_role() -> None:
    """Names that are missing are zero."""
    found = evidence({"candidate.requests": 3.0, "candidate.seconds": 1.5, "control.requests": 9.0}, "candidate")
    assert (found.requests, found.answered, found.seconds) == (3, 0, 1.5)
