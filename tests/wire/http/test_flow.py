"""When what is streamed leaves: a first piece at once, what follows one connection's after another's."""

from __future__ import annotations

import asyncio

from equipoise.http.flow import Outbox, WriteFlow


class Wire(asyncio.Transport):
    """A transport that remembers what was written, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


def flows(count: int) -> tuple[list[WriteFlow], list[Wire]]:
    loop, outbox, wires = asyncio.get_running_loop(), Outbox(), [Wire() for _ in range(count)]
    return [WriteFlow(loop, wire, 60.0, outbox) for wire in wires], wires


async def test_the_first_piece_leaves_at_once_with_the_head() -> None:
    """In one write, whatever else the turn has to do; later pieces wait for its end."""
    (flow,), (wire,) = flows(1)
    flow.open(b"head ")
    assert wire.written == []
    flow.hand_on(b"first")
    assert wire.written == [b"head first"]
    flow.hand_on(b"second ")
    flow.hand_on(b"third")
    assert wire.written == [b"head first"]
    await asyncio.sleep(0)
    assert wire.written == [b"head first", b"second third"]


async def test_a_head_waits_for_no_piece() -> None:
    """It leaves with the turn; the first piece is then still the first."""
    (flow,), (wire,) = flows(1)
    flow.open(b"head")
    await asyncio.sleep(0)
    assert wire.written == [b"head"]
    flow.hand_on(b"first")
    assert wire.written == [b"head", b"first"]
    flow.hand_on(b"second")
    assert wire.written == [b"head", b"first"]


async def test_what_follows_leaves_together_when_the_turn_ends() -> None:
    """Of all connections, in the order in which they had something."""
    (one, two), (first, second) = flows(2)
    for flow in (one, two):
        flow.open(b"head")
        flow.hand_on(b"first")
    two.hand_on(b"b")
    one.hand_on(b"a")
    assert first.written == second.written == [b"headfirst"]
    await asyncio.sleep(0)
    assert (first.written[1:], second.written[1:]) == ([b"a"], [b"b"])
