"""What no store keeps: how states changed and what learned weights and queues were, since the process began. Bounded."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from equipoise.core.events import BackendChanged, CanaryDecided, Event, hears

MOST_CHANGES, MOST_SAMPLES, EVERY = 2_000, 1_440, 30.0
"""Changes and samples kept, and the seconds between samples: twelve hours of them."""


class Change(msgspec.Struct, frozen=True):
    """At which moment (Unix seconds) what became what, and why."""

    wall: float
    subject: str
    state: str
    why: str


class Sample(msgspec.Struct, frozen=True):
    """At a moment: questions in flight and waiting, and the weight of each backend as learned for general questions."""

    wall: float
    in_flight: int
    waiting: int
    weights: dict[str, float]


class Recorder:
    """Observes events and samples the balancer from `start` to `close`."""

    def __init__(self, sample: Callable[[], Sample], wall: Callable[[], float]) -> None:
        self._sample, self.began = sample, wall()
        self.changes: deque[Change] = deque(maxlen=MOST_CHANGES)
        self.decisions: deque[Change] = deque(maxlen=MOST_CHANGES)
        self.samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._task: asyncio.Task[None] | None = None

    @hears(BackendChanged, CanaryDecided)
    def observe(self, event: Event) -> None:
        """Keep changes of state and verdicts on a canary; cheap for everything else."""
        if type(event) is BackendChanged:
            self.changes.append(Change(event.wall, event.backend_id, event.state, event.reason))
        elif type(event) is CanaryDecided:
            self.decisions.append(Change(event.wall, event.canary, event.verdict, event.message))

    async def start(self) -> None:
        """Begin to sample."""
        self._task = asyncio.create_task(self._run(), name="dashboard")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self.samples.append(self._sample())
            await asyncio.sleep(EVERY)


def sample_of(status: dict[str, Any], learning: dict[str, Any], wall: float) -> Sample:
    """One sample out of what balancer and learner say of themselves."""
    learned = learning.get("learned_weights", {}).get("general", {})
    weights = {row["id"]: float(row["weight"]) for row in status["backends"][:64]}
    weights |= {name: float(row["weight"]) for name, row in learned.items() if name in weights}
    return Sample(wall, status["in_flight"], status.get("waiting", 0), weights)
