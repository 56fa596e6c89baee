"""Attempts that are under way, in a file that outlives the process: what a kill leaves behind is booked by the next one.

A slot is written when an attempt begins and cleared when it ends, in memory that the kernel owns (mmap): no system call,
about three microseconds an attempt, and kill -9 takes nothing away. Only the machine's own end does.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from equipoise.core.events import AttemptBegan, AttemptEnded, Event
from equipoise.core.model import Attempt, CostSource, Decision, NanoUSD, Outcome, Usage, Verdict
from equipoise.stores.orphans import Belongings, claimed

SLOT, SLOTS = 512, 4_096
PREFIX = "under-way-"
NOBODY = "(lost)"
"""Whom a lost attempt is booked for: its tenant pays for the answer it gets when it asks again, and for nothing else."""
LOST = "lost"


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What is known of an attempt before it ends; `cost` is the expected one."""

    request_id: str
    number: int
    wall: float
    tenant: str
    backend_id: str
    backend_type: str
    model: str
    route: str
    strategy: str
    stream: bool
    cost: NanoUSD


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Noted).decode


class UnderWay:
    """This process's attempts under way, in a file of its own in the folder. Raises OSError if there can be none.

    More than SLOTS at once, and attempts whose names are too long for a slot, are not noted.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Belongings(folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}", SLOT * SLOTS)
        self._memory = self._file.memory
        self._free = list(range(SLOTS - 1, -1, -1))
        self._taken: dict[tuple[str, int], int] = {}

    def observe(self, event: Event) -> None:
        """Note what begins, forget what ended."""
        if type(event) is AttemptBegan:
            self._begin(event)
        elif type(event) is AttemptEnded:
            slot = self._taken.pop((event.attempt.request_id, event.attempt.number), None)
            if slot is not None:
                self._memory[slot * SLOT : slot * SLOT + 2] = b"\0\0"
                self._free.append(slot)

    def close(self) -> None:
        """Nothing is under way any more: the file goes. What begins or ends later is not noted."""
        self._free, self._taken = [], {}
        self._file.close()

    def _begin(self, event: AttemptBegan) -> None:
        data = _encode(noted(event))
        if not self._free or len(data) > SLOT - 2:
            return
        slot = self._free.pop()
        at = slot * SLOT
        self._memory[at + 2 : at + 2 + len(data)] = data
        self._memory[at : at + 2] = len(data).to_bytes(2, "little")  # last: a slot without a length is empty
        self._taken[event.request_id, event.number] = slot


def noted(event: AttemptBegan) -> Noted:
    """The part of it that is worth keeping."""
    decision = event.decision
    costs = (each.expected_cost for each in decision.candidates if each.backend_id == decision.backend_id)
    return Noted(
        event.request_id, event.number, event.wall, event.tenant, decision.backend_id, event.backend_type, event.model,
        decision.route, decision.strategy, event.stream, next(costs, 0),
    )  # fmt: skip


def left_behind(folder: Path) -> list[Attempt]:
    """The attempts of processes that are gone, as records of their possible cost; their files are removed."""
    return [lost(each) for path in sorted(folder.glob(PREFIX + "*")) for each in _taken_from(path)]


def lost(noted: Noted) -> Attempt:
    """An attempt whose end nobody saw: what it may have cost, booked for nobody, with its tenant as a tag."""
    reason = "it was under way when its gateway died"
    return Attempt(
        request_id=noted.request_id,
        number=noted.number,
        wall=noted.wall,
        tenant=NOBODY,
        tags=(f"tenant:{noted.tenant}",),
        backend_id=noted.backend_id,
        backend_type=noted.backend_type,
        model=noted.model,
        stream=noted.stream,
        decision=Decision(
            backend_id=noted.backend_id,
            strategy=noted.strategy,
            route=noted.route,
            reason=reason,
            probability=1.0,
            compared={},
            probabilities={},
            excluded={},
            candidates=(),
        ),
        outcome=Outcome(
            verdict=Verdict.IGNORED,
            duration=0.0,
            usage=Usage(requests=0, estimated=True),
            cost=noted.cost,
            cost_source=CostSource.ESTIMATED,
            error=f"possible cost: {reason}",
            error_code=LOST,
            interrupted=noted.stream,
        ),
    )


def _taken_from(path: Path) -> Iterator[Noted]:
    """The slots of a file whose owner is gone."""
    data = claimed(path)
    for at in range(0, len(data), SLOT):
        length = int.from_bytes(data[at : at + 2], "little")
        if 0 < length <= SLOT - 2:
            yield _decode(data[at + 2 : at + 2 + length])
