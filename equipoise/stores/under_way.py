"""Attempts that are under way, in a file that outlives the process: what a kill leaves behind is booked by the next one.

A slot is written when an attempt begins, in memory that the kernel owns (mmap): no system call, a few microseconds an
attempt, and kill -9 takes nothing away. Only the machine's own end does. When the attempt ends its true cost is written
there, and the slot is cleared a little later: until then its record may be on its way to the ledger, which knows a record
that it has already by its very time and cost.
"""

from __future__ import annotations

import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from equipoise.core.efficiency import expected_at_chosen
from equipoise.core.events import AttemptBegan, AttemptEnded, Event, hears
from equipoise.core.model import Attempt, CostSource, Decision, NanoUSD, Outcome, Usage, Verdict
from equipoise.stores.orphans import Belongings, claimed

SLOT, SLOTS = 512, 4_096
AT_ONCE = 8
PREFIX = "under-way-"
NOBODY = "(lost)"
"""Whom a lost attempt is booked for: its tenant pays for the answer it gets when it asks again, and for nothing else."""
LOST = "lost"


class Noted(msgspec.Struct, frozen=True, array_like=True):
    """What is known of an attempt, as it is packed.

    `cost` is the expected one before it ends, `wall` when it began; then both are its own.
    """

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
_EMPTY = bytes(2)
_LENGTHS = [size.to_bytes(2, "little") for size in range(SLOT)]


class UnderWay:
    """This process's attempts under way, in a file of its own in the folder. Raises OSError if there can be none.

    More than SLOTS at once, and attempts whose names are too long for a slot, are not noted. `keep_seconds` is how long
    one that has ended stays noted; less where slots are short.
    """

    def __init__(
        self, folder: Path, keep_seconds: float = 0.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = Belongings(folder / f"{PREFIX}{os.getpid()}-{secrets.token_hex(4)}", SLOT * SLOTS)
        self._memory = self._file.memory
        self._free = list(range(SLOTS - 1, -1, -1))
        self._taken: dict[tuple[str, int], int] = {}
        self._ended = deque[tuple[float, int]]()
        self._keep, self._monotonic = keep_seconds, monotonic

    @hears(AttemptBegan, AttemptEnded)
    def observe(self, event: Event) -> None:
        """Note what begins, and what it came to; forget it when its record must have been written."""
        if type(event) is AttemptBegan:
            self._clear(self._monotonic() - self._keep)
            self._begin(event)
        elif type(event) is AttemptEnded:
            self._end(event.attempt)

    def close(self) -> None:
        """Nothing is under way any more: the file goes. What begins or ends later is not noted."""
        self._free, self._taken, self._ended = [], {}, deque()
        self._file.close()

    def _begin(self, event: AttemptBegan) -> None:
        data = noted(event)
        if not self._free and self._ended:
            self._clear(self._ended[0][0])
        if not self._free or len(data) > SLOT - 2:
            return
        slot = self._free.pop()
        self._taken[event.request_id, event.number] = slot
        at, size = slot * SLOT, len(data)
        self._memory[at + 2 : at + 2 + size] = data  # whose slot is empty until its length is there, whatever kills us
        self._memory[at : at + 2] = _LENGTHS[size]

    def _end(self, attempt: Attempt) -> None:
        slot = self._taken.pop((attempt.request_id, attempt.number), None)
        if slot is None:
            return
        data = came_to(attempt) if self._keep else b""
        if not data or len(data) > SLOT - 2:
            self._forget(slot)
            return
        at, size, memory = slot * SLOT, len(data), self._memory
        memory[at : at + 2] = _EMPTY  # a kill in the midst of it leaves an empty slot, not half of two
        memory[at + 2 : at + 2 + size] = data
        memory[at : at + 2] = _LENGTHS[size]
        self._ended.append((self._monotonic(), slot))

    def _clear(self, before: float) -> None:
        """Of those that have ended, forget what ended up to then: a few each time, so that no question does it for all
        those before a pause. To forget late does no harm: a record that is there already is not booked again."""
        ended = self._ended
        for _ in range(AT_ONCE):
            if not ended or ended[0][0] > before:
                return
            self._forget(ended.popleft()[1])

    def _forget(self, slot: int) -> None:
        self._memory[slot * SLOT : slot * SLOT + 2] = _EMPTY
        self._free.append(slot)


def came_to(attempt: Attempt) -> bytes:
    """What its record will say of its time and cost, as a packed Noted."""
    decision = attempt.decision
    return _encode((
        attempt.request_id, attempt.number, attempt.wall, attempt.tenant, attempt.backend_id, attempt.backend_type,
        attempt.model, decision.route, decision.strategy, attempt.stream, attempt.outcome.cost,
    ))  # fmt: skip


def noted(event: AttemptBegan) -> bytes:
    """The part of it that is worth keeping, as a packed Noted."""
    decision = event.decision
    return _encode((
        event.request_id, event.number, event.wall, event.tenant, decision.backend_id, event.backend_type, event.model,
        decision.route, decision.strategy, event.stream, expected_at_chosen(decision),
    ))  # fmt: skip


def left_behind(folder: Path) -> list[Attempt]:
    """The attempts of processes that are gone, as records of their possible cost; their files are removed."""
    return [lost(each) for path in sorted(folder.glob(PREFIX + "*")) for each in _taken_from(path)]


def lost(noted: Noted) -> Attempt:
    """An attempt whose end nobody saw: what it may have cost, booked for nobody, with its tenant as a tag."""
    reason = "it was under way, or its record was, when its gateway died"
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
