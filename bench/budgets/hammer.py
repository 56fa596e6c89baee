"""The shipped command line under fire: gateways that share one budget, callers at once, one of them killed in the middle.

    python -m bench.budgets.hammer --gateways 8 --callers 50

An upstream on this machine answers every question at a known price and counts what it billed: the only truth. Asserted:
what was billed never exceeds the cap; after the stop nothing is held; the ledger, the budget and the upstream agree as far
as a kill allows (exactly, without one).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from equipoise.core.model import dollars
from equipoise.http import HTTPError, Pool, PoolLimits, Request, Response, Server, Timeouts

PRICE = 100  # dollars per million output tokens: a hundred thousand nano-dollars a token
PER_TOKEN = 100_000
MOST_TOKENS = 64


@dataclass
class Upstream:
    """Answers in OpenAI's form with a random number of tokens within what was allowed; counts its bill."""

    chance: random.Random = field(default_factory=lambda: random.Random(5))
    billed: int = 0
    answered: int = 0

    async def handle(self, request: Request) -> Response:
        if request.path.endswith("/models"):
            return Response(200, ((b"content-type", b"application/json"),), b'{"object":"list","data":[{"id":"m"}]}')
        asked = json.loads(request.body)
        tokens = self.chance.randint(1, min(MOST_TOKENS, asked.get("max_tokens", MOST_TOKENS)))
        self.billed += tokens * PER_TOKEN
        self.answered += 1
        await asyncio.sleep(self.chance.uniform(0.002, 0.03))
        body = {
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "word " * tokens}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens},
        }  # fmt: skip
        return Response(200, ((b"content-type", b"application/json"),), json.dumps(body).encode())


@dataclass
class Told:
    """What came of one run; money in nano-dollars."""

    cap: int
    billed: int
    ledger: int
    spent: int
    held: int
    lost: int
    unknown: int
    answers: Counter[str]
    killed: int
    seconds: float


def configuration(folder: Path, upstream: int, cap: int) -> Path:
    """One file for all gateways: the same state directory, so the same budget."""
    file = folder / "equipoise.yaml"
    file.write_text(
        f"""backend_instances:
  up:
    backend_type: local_llm
    endpoint_url: http://127.0.0.1:{upstream}/v1
    model: m
    price: {{output: {PRICE}}}
    circuit_breaker_enabled: false
    max_concurrent_requests: 1000
budgets:
  all: {{usd: {dollars(cap)}, window: total}}
state_dir: {folder / "state"}
listen: {{port: 0, admin_port: 0}}
log: {{level: warning}}
"""
    )
    return file


class Gateway:
    """One `equipoise serve`."""

    def __init__(self, file: Path) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("EQUIPOISE_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "equipoise", "serve", "--config", str(file)],
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
            cwd=file.parent,
        )
        self.url = ""

    async def ready(self) -> None:
        """Wait for the line that says where it listens."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        self.url = line.split()[-1].strip()
        if not self.url.startswith("http"):
            raise RuntimeError(f"the gateway did not start: {line!r}")


async def callers(gateways: list[Gateway], count: int, until: float, answers: Counter[str]) -> None:
    """So many at each gateway, each asking again as soon as it was answered, until the budget is gone."""
    await asyncio.gather(*(caller(gateway, i, until, answers) for gateway in gateways for i in range(count)))


async def caller(gateway: Gateway, number: int, until: float, answers: Counter[str]) -> None:
    body = json.dumps({"model": "auto", "max_tokens": MOST_TOKENS, "messages": [{"role": "user", "content": "?"}]})
    pool = Pool(gateway.url, limits=PoolLimits(connections=1))
    patience = Timeouts(connect=5.0, first_byte=20.0, between_bytes=20.0)
    refused = 0
    try:
        while time.monotonic() < until and refused < 3:
            try:
                response = await pool.request(
                    "POST", "/v1/chat/completions", headers=[(b"content-type", b"application/json")],
                    body=body.encode(), timeouts=patience,
                )  # fmt: skip
                text = await response.read()
            except HTTPError:
                answers["lost"] += 1
                return  # killed
            code = "ok" if response.status == 200 else str(json.loads(text)["error"]["code"])
            answers[code] += 1
            refused = refused + 1 if code == "budget_exceeded" else 0
            if code == "budget_exceeded":
                await asyncio.sleep(0.2)
    finally:
        await pool.close()


def sums(folder: Path) -> tuple[int, int, int, int]:
    """Ledger, spent, held by the living, unknown; read from the files as they lie there."""
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite3")) as ledger:
        (booked,) = ledger.execute("SELECT COALESCE(SUM(cost), 0) FROM attempts").fetchone()
    with closing(sqlite3.connect(folder / "state" / "budgets.sqlite3")) as budgets:
        (spent,) = budgets.execute("SELECT COALESCE(SUM(amount), 0) FROM spent WHERE account = 'all'").fetchone()
        rows = budgets.execute("SELECT amount, expires FROM held JOIN holders USING (holder)").fetchall()
    now = time.time()
    return booked, spent, sum(a for a, e in rows if e > now), sum(a for a, e in rows if e <= now)


async def run(gateways: int, each: int, cap: int, kill: int, seconds: float, folder: Path) -> Told:
    """Start all, ask, kill some in the middle, stop the others, and look."""
    upstream = Upstream()
    server = Server(upstream.handle)
    await server.start("127.0.0.1", 0)
    file = configuration(folder, server.port, cap)
    running = [Gateway(file) for _ in range(gateways)]
    answers: Counter[str] = Counter()
    began = time.monotonic()
    try:
        await asyncio.gather(*(gateway.ready() for gateway in running))
        asking = asyncio.create_task(callers(running, each, time.monotonic() + seconds, answers))
        for victim in running[:kill]:
            while upstream.billed < cap // 2 and not asking.done():
                await asyncio.sleep(0.01)
            victim.process.send_signal(signal.SIGKILL)
        await asking
    finally:
        for gateway in running:
            gateway.process.terminate()
        for gateway in running:
            await asyncio.to_thread(gateway.process.communicate, timeout=30)
    took = time.monotonic() - began
    await server.drain(1.0)
    if kill:
        await asyncio.sleep(11.0)  # until what the dead held is known to be lost
    lost = sums(folder)[3]
    if kill:
        await started_and_stopped(file)
    ledger, spent, held, unknown = sums(folder)
    return Told(cap, upstream.billed, ledger, spent, held, lost, unknown, answers, kill, took)


async def started_and_stopped(file: Path) -> None:
    """One that comes later: it looks after what the dead left."""
    gateway = Gateway(file)
    try:
        await gateway.ready()
    finally:
        gateway.process.terminate()
        await asyncio.to_thread(gateway.process.communicate, timeout=30)


def problems(told: Told) -> list[str]:
    """What was promised and not kept."""
    found = []
    if told.billed > told.cap:
        found.append(f"the upstream billed ${dollars(told.billed)}, the cap is ${dollars(told.cap)}")
    if told.spent + told.unknown > told.cap:
        found.append("the budget's own sums exceed its cap")
    if told.held:
        found.append(f"{told.held} nano-dollars are still held")
    if not told.killed and not told.billed == told.ledger == told.spent:
        found.append(f"billed {told.billed}, in the ledger {told.ledger}, in the budget {told.spent}")
    if told.killed and told.billed > told.spent + told.unknown:
        found.append("what was billed is not covered by what was spent or lost")
    if told.killed and not told.unknown < told.lost:
        found.append("nothing of what the dead had free was given back")
    if not told.killed and told.billed < told.cap * 0.99:
        found.append(f"only {told.billed / told.cap:.1%} of the budget could be used")
    return found


def report(told: Told) -> None:
    """The figures."""
    print(f"cap ${dollars(told.cap)}; billed by the upstream ${dollars(told.billed)} ({told.billed / told.cap:.4%})")
    print(
        f"ledger ${dollars(told.ledger)}; budget: spent ${dollars(told.spent)}, held {told.held}; the killed held "
        f"${dollars(told.lost)}, of which ${dollars(told.unknown)} may have been spent"
    )
    print(f"answers: {dict(told.answers)}; {told.killed} killed; {told.seconds:.1f} s")


def main(arguments: list[str] | None = None) -> int:
    """Without a kill, then with one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateways", type=int, default=8)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--cap", type=float, default=10.0, help="dollars")
    parser.add_argument("--seconds", type=float, default=90.0, help="at most")
    said = parser.parse_args(arguments)
    bad: list[str] = []
    for kill in (0, max(1, said.gateways // 4)):
        with tempfile.TemporaryDirectory() as folder:
            told = asyncio.run(run(said.gateways, said.callers, int(said.cap * 1e9), kill, said.seconds, Path(folder)))
        report(told)
        bad += problems(told)
    for problem in bad:
        print(f"NOT KEPT: {problem}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
