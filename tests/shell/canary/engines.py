"""Engines as functions, and a gateway's balancer with a place for a canary, as `serve` puts it together."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from equipoise.balancer import Reply, Unanswered
from equipoise.build import Estate, build
from equipoise.canary import Canary, Candidate
from equipoise.canary.assembly import from_config
from equipoise.config.load import Loaded, load
from equipoise.core.events import AttemptEnded, CanaryDecided, Event
from equipoise.core.rollout import candidate_takes
from equipoise.swap import built_beside, take_over

CHANCE = random.Random(5)
PLACE = "tests.shell.canary.engines"
BAD = "backend_instances:\n  engine:\n    function: tests.shell.canary.engines:broken\n"
FLAKY = BAD.replace("broken", "flaky")
GOOD = BAD.replace("broken", "other")


async def good(text: str) -> str:
    """Answers."""
    return f"good: {text}"


async def other(text: str) -> str:
    """Answers too."""
    return f"other: {text}"


async def broken(text: str) -> str:
    """Never answers."""
    raise RuntimeError("broken")


async def flaky(text: str) -> str:
    """Fails one time in three."""
    if CHANCE.random() < 1 / 3:
        raise RuntimeError("flaky")
    return f"flaky: {text}"


class Lab:
    """A running balancer, its canary, and what its observers were told."""

    def __init__(self, folder: Path, **section: Any) -> None:
        self.folder = folder
        CHANCE.seed(5)  # whatever other tests drew
        self.loaded: Loaded = load(
            {
                "backend_instances": {
                    "engine": {
                        "backend_type": "function",
                        "function": f"{PLACE}:good",
                        "circuit_breaker_enabled": False,
                    }
                },
                "retry": {"max_attempts": 1, "backoff_base_seconds": 0.001},
                "state_dir": str(folder),
                "ledger": {"enabled": False},
                "canary": {"hold_minutes": 0, "minimum_requests": 20, **section},
            }
        )
        self.events: list[Event] = []
        self.troubles: list[str] = []
        self.estate: Estate
        self.canary: Canary

    async def __aenter__(self) -> Lab:
        self.estate = build(self.loaded.config)
        self.canary = from_config(self.loaded.config, self.estate, lambda: self.loaded.config, self.troubles.append)
        self.estate.balancer.observers.append(self.events.append)
        await self.estate.balancer.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.estate.balancer.close()

    async def begin(self, text: str, share: float = 50.0, **more: Any) -> dict[str, Any]:
        """Start a canary of this text."""
        return await self.canary.begin(Candidate(name="new.yaml", text=text), share, who="ann", why="try", **more)

    async def ask(self, session: str = "s", **hints: Any) -> Reply:
        """One question."""
        return await self.estate.balancer.ask("What is it?", session=session, **hints)

    async def asked(self, count: int) -> list[str]:
        """So many people ask; what they heard, word for word, or the code of the error."""
        heard = []
        for number in range(count):
            try:
                heard.append((await self.ask(f"s-{number}")).text.partition(":")[0])
            except Unanswered as error:
                heard.append(error.code)
        return heard

    async def replace(self, changes: dict[Any, Any]) -> None:
        """The control's configuration is another from now on, as after a reload."""
        data = {**self.raw, **changes}
        self.loaded = load(data)
        await take_over(self.estate.balancer, built_beside(self.loaded.config), self.loaded.config)

    @property
    def raw(self) -> dict[str, Any]:
        """The configuration as it was said."""
        return dict(self.loaded.tree.data)

    @property
    def verdicts(self) -> list[str]:
        """What observers were told of the canary."""
        return [event.verdict for event in self.events if isinstance(event, CanaryDecided)]

    @property
    def roles(self) -> list[tuple[str, str, int]]:
        """Request, role and number of each attempt."""
        return [
            (event.attempt.request_id, event.attempt.role, event.attempt.number)
            for event in self.events
            if isinstance(event, AttemptEnded)
        ]

    def insider(self, share: float = 50.0) -> str:
        """A session that the candidate takes."""
        return next(f"i-{n}" for n in range(999) if candidate_takes(f"session i-{n}", share))
