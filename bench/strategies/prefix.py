"""What `prefix_affinity` is worth to servers with a prefix cache: real prompts, as hashes of their blocks, in virtual time.

    python -m bench.strategies.prefix --data DIR          (DIR holds traces/mooncake_*.jsonl)

The real selection chooses; eight servers are modelled. Each reads one prompt at a time (prefill: 8,000 tokens a second, first
come first read) and keeps the blocks of what it read, 512 tokens each, the least lately used out first (20,000 blocks: about
ten million tokens; `--blocks`). A prompt's leading blocks that are there cost nothing to read; the rest decides the time to
the first token. Writing goes on beside (50 tokens a second for each answer) and counts as in flight.

Arrivals are the trace's, `--speed` times as fast. Affinity goes by the first two blocks (1,024 tokens; the product's 4,096
characters): in the conversation trace the first block is the same for everybody. `--depth` takes others.

Source: kvcache-ai/Mooncake, FAST25 traces (Apache-2.0): `hash_ids` are the prompt's blocks, equal where all before is equal.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.strategies.references import REFERENCES
from equipoise.core.backend import Backend, BackendOptions
from equipoise.core.breaker import BreakerOptions
from equipoise.core.model import (
    BackendType,
    Candidate,
    Choice,
    NoBackendAvailable,
    Outcome,
    Question,
    Request,
    Usage,
    Verdict,
)
from equipoise.core.policies import Configured, PolicyMaker, make_policy
from equipoise.core.ring import ROOM
from equipoise.core.routing import Route
from equipoise.core.selection import Lease, Selection

TRACES = {"conversation": "mooncake_conversation_trace.jsonl", "synthetic": "mooncake_synthetic_trace.jsonl"}
BLOCK, SERVERS, BLOCKS = 512, 8, 20_000
PREFILL, DECODE = 8_000.0, 50.0
NOTHING = Question(messages=[])


class Prompt(NamedTuple):
    """When it comes (seconds), its blocks, its tokens and those of its answer."""

    at: float
    blocks: tuple[int, ...]
    tokens: int
    answer: int


class Random1(Configured):
    """One at random, blind."""

    def choose(self, candidates: Sequence[Candidate], request: Request) -> Choice:
        return Choice(self.chance.choice(candidates).backend_id, {}, "at random")


RULES: dict[str, str | PolicyMaker] = {
    "random": Random1,
    "P2C": REFERENCES["P2C"],
    "performance_based": "performance_based",
}


@dataclass
class Server:
    """Reads one prompt after the other, remembers blocks."""

    room: int
    kept: OrderedDict[int, None] = field(default_factory=OrderedDict)
    queue: deque[tuple[Lease, Prompt]] = field(default_factory=deque)
    reading: bool = False

    def read(self, prompt: Prompt) -> int:
        """How many leading blocks are known; all are from now on."""
        known = next((n for n, block in enumerate(prompt.blocks) if block not in self.kept), len(prompt.blocks))
        for block in reversed(prompt.blocks):  # a chain's end goes before its beginning
            self.kept[block] = None
            self.kept.move_to_end(block)
        while len(self.kept) > self.room:
            self.kept.popitem(last=False)
        return known


@dataclass
class Story:
    """What became of the prompts."""

    first: list[float] = field(default_factory=list)
    known: int = 0
    blocks: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    beyond: float = 0.0

    def row(self) -> tuple[float, float, float, float, float]:
        """Share of blocks known, p50 and p95 seconds to the first token, most prompts of one server by the mean, worst
        in flight of a server when it was chosen, by what its fair share rounded up allowed."""
        ranked = sorted(self.first)
        mean = sum(self.asked.values()) / SERVERS
        shares = self.known / self.blocks, ranked[len(ranked) // 2], ranked[int(0.95 * len(ranked))]
        return *shares, max(self.asked.values()) / mean, self.beyond


class World:
    """Virtual time: a heap of what happens next, the real selection in the middle."""

    def __init__(self, rule: str | PolicyMaker, depth: int, room: int, seed: int) -> None:
        chance = Random(seed)
        self.now, self.depth, self.story = 0.0, depth, Story()
        self.servers = {f"s{number}": Server(room) for number in range(SERVERS)}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        route = Route(name="auto", backends=tuple(self.servers), strategy="this", prefix_characters=depth)
        options = {name: BackendOptions(id=name, type=BackendType.LOCAL_LLM, expected_seconds=5.0, breaker=BreakerOptions(enabled=False)) for name in self.servers}  # fmt: skip
        backends = [Backend(each, chance) for each in options.values()]
        self._held_back = deque[Prompt]()
        self.selection = Selection(backends, {"auto": route}, lambda route, name: make_policy(rule, chance=chance), clock=self, chance=chance)  # fmt: skip

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def at(self, when: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what))

    def run(self, prompts: Sequence[Prompt]) -> Story:
        for prompt in prompts:
            self.at(prompt.at, partial(self._come, prompt))
        while self._events:
            self.now, _, what = heapq.heappop(self._events)
            what()
        return self.story

    def _come(self, prompt: Prompt) -> None:
        deep = self.depth and len(prompt.blocks) >= self.depth
        prefix = hash(prompt.blocks[: self.depth]) & (2**64 - 1) if deep else None
        flights = [backend.load.in_flight for backend in self.selection.backends.values()]
        request = Request(id="r", question=NOTHING, input_tokens=prompt.tokens, prefix=prefix)
        try:
            lease = self.selection.acquire(request)
        except NoBackendAvailable:  # all are at the limits that were learned: it waits before the balancer
            self._held_back.append(prompt)
            return
        if prefix is not None:
            allowed = -(-ROOM * (sum(flights) + 1) // SERVERS)
            self.story.beyond = max(self.story.beyond, lease.backend.load.in_flight / allowed)
        self.story.asked[lease.backend_id] += 1
        server = self.servers[lease.backend_id]
        server.queue.append((lease, prompt))
        if not server.reading:
            self._read(server)

    def _read(self, server: Server) -> None:
        lease, prompt = server.queue.popleft()
        server.reading = True
        known = server.read(prompt)
        self.story.known += known
        self.story.blocks += len(prompt.blocks)
        seconds = max(0, prompt.tokens - known * BLOCK) / PREFILL
        self.at(self.now + seconds, partial(self._first, server, lease, prompt))

    def _first(self, server: Server, lease: Lease, prompt: Prompt) -> None:
        first = self.now - prompt.at
        self.story.first.append(first)
        self.at(self.now + prompt.answer / DECODE, partial(self._done, lease, prompt, first))
        server.reading = False
        if server.queue:
            self._read(server)

    def _done(self, lease: Lease, prompt: Prompt, first: float) -> None:
        usage = Usage(input_tokens=prompt.tokens, output_tokens=prompt.answer)
        outcome = Outcome(verdict=Verdict.SUCCESS, duration=self.now - prompt.at, first_token=first, usage=usage)
        self.selection.settle(lease, outcome)
        if self._held_back:
            self._come(self._held_back.popleft())


def prompts_of(file: Path, speed: float) -> list[Prompt]:
    rows = [json.loads(line) for line in file.read_text().split("\n") if line]
    return [
        Prompt(row["timestamp"] / 1000.0 / speed, tuple(row["hash_ids"]), row["input_length"], row["output_length"])
        for row in rows
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table for each trace; 2 when the data are absent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--blocks", type=int, default=BLOCKS)
    parser.add_argument(
        "--depth", type=int, action="append", help="blocks that count as the beginning; may be repeated"
    )
    parser.add_argument("--seeds", type=int, default=3)
    said = parser.parse_args(arguments)
    folder = said.data / "traces" if said.data else None
    if folder is None or not all((folder / name).is_file() for name in TRACES.values()):
        print(
            f"not measured: there are no {' and '.join(TRACES.values())} in {folder or 'any directory named with --data'}"
        )
        return 2
    for trace, name in TRACES.items():
        prompts = prompts_of(folder / name, said.speed)
        print(
            f"\n{trace}: {len(prompts)} prompts, {said.speed:g} times as fast, {SERVERS} servers of {said.blocks} blocks"
        )
        print(f"{'':18}{'affinity':>10}{'known':>9}{'TTFT p50':>10}{'p95 s':>9}{'most/mean':>11}{'of bound':>10}")
        for rule, maker in RULES.items():
            for depth in (0, *(said.depth or [2])):
                runs = [World(maker, depth, said.blocks, seed).run(prompts).row() for seed in range(1, said.seeds + 1)]
                known, p50, p95, most, beyond = (sum(column) / len(runs) for column in zip(*runs, strict=True))
                words = f"{depth} blocks" if depth else "-"
                bound = f"{beyond:10.2f}" if depth else f"{'':10}"
                print(f"{rule:18}{words:>10}{known:9.1%}{p50:10.2f}{p95:9.2f}{most:11.2f}{bound}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
