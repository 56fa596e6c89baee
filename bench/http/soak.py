"""Memory of the relay over time: `python -m bench.http.soak [growth] [slow] [idle]`.

growth  200,000 requests and 2,000 streams cut off by their clients; prints the slope of the resident set
slow    1,000 clients that read an endless stream at 1 KB/s
idle    10,000 streams open at once, of which none moves

The relay (relay.py) and its upstream run as processes of their own; all on 127.0.0.1. Where a process may not open the
20,000 files that `idle` needs of one relay, two relays share the port and their memory is added up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import uvloop

from equipoise.http import ClientResponse, Pool, PoolLimits, Request, Response, Server, ServerLimits

ANSWER = b'{"choices":[{"message":{"role":"assistant","content":"' + b"x" * 500 + b'"}}]}'
MEBIBYTE = 1024 * 1024


# The upstream


async def upstream_handler(request: Request) -> Response:
    """A small answer, an endless stream, or a stream that says one thing and then nothing."""
    if request.path == "/pour":
        return Response(200, ((b"content-type", b"text/event-stream"),), pour())
    if request.path == "/idle":
        return Response(200, ((b"content-type", b"text/event-stream"),), idle())
    return Response(200, ((b"content-type", b"application/json"),), ANSWER)


async def pour() -> AsyncIterator[bytes]:
    while True:
        yield b"data: " + b"x" * 4_000 + b"\n\n"
        await asyncio.sleep(0)


async def idle() -> AsyncIterator[bytes]:
    yield b": open\n\n"
    await asyncio.sleep(3_600)


async def serve_upstream(port: int) -> None:
    """The upstream, until it is terminated."""
    server = Server(upstream_handler, limits=ServerLimits(connections=30_000))
    await server.start(port=port)
    await asyncio.sleep(36_000)


# Processes


def raise_limit() -> int:
    """As many open files as the system allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[int]:
    """A Python process of this checkout, and its id."""
    child = subprocess.Popen([sys.executable, *arguments])
    try:
        yield child.pid
    finally:
        child.terminate()
        child.wait(20)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def resident(pids: list[int]) -> float:
    """Resident memory of these processes in MiB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total / 1024


async def until_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    sys.exit("a server did not start")


@contextlib.asynccontextmanager
async def relays(count: int = 1) -> AsyncIterator[tuple[int, list[int]]]:
    """Port and process ids of relays that share a port, with an upstream behind them."""
    back, front = free_port(), free_port()
    relay = ("-m", "bench.http.relay", "--port", str(front), "--reuse-port", "--upstream", f"http://127.0.0.1:{back}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(process("-m", "bench.http.soak", "--serve-upstream", str(back)))
        pids = [stack.enter_context(process(*relay)) for _ in range(count)]
        await until_listening(back)
        await until_listening(front)
        await asyncio.sleep(1.0)
        yield front, pids


# Measurements


async def growth(requests: int, streams: int) -> None:
    """The slope of memory over requests and cancelled streams."""
    async with relays() as (port, pids):
        pool = Pool(f"http://127.0.0.1:{port}", limits=PoolLimits(connections=64))
        print(f"growth: {resident(pids):.1f} MiB at the start")
        points: list[tuple[float, float]] = []
        started = time.monotonic()
        step = requests // 20
        for done in range(step, requests + 1, step):
            await ask(pool, step)
            await cut_streams(pool, streams // 20)
            points.append((float(done), resident(pids)))
        seconds = time.monotonic() - started
        await pool.close()
    print(f"growth: {requests} requests and {streams} cancelled streams in {seconds:.0f} s")
    print("growth: MiB after each twentieth: " + " ".join(f"{memory:.1f}" for _, memory in points))
    print(f"growth: slope over the second half {slope(points[10:]) * MEBIBYTE:+.1f} bytes a request")


async def ask(pool: Pool, count: int) -> None:
    """So many requests, 32 at a time."""

    async def one_after_the_other(times: int) -> None:
        for _ in range(times):
            await (await pool.request("POST", "/ok", body=ANSWER, retry_stale=True)).read()

    await asyncio.gather(*(one_after_the_other(count // 32) for _ in range(32)))


async def cut_streams(pool: Pool, count: int) -> None:
    """So many streams, each left after its first piece."""
    for _ in range(count):
        response = await pool.request("POST", "/pour", retry_stale=True)
        await anext(response)
        response.close()


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


async def slow(clients: int, seconds: float) -> None:
    """Memory while clients read far more slowly than their upstream pours."""
    async with relays() as (port, pids):
        before = resident(pids)
        readers = [asyncio.create_task(read_slowly(port)) for _ in range(clients)]
        highest = 0.0
        for _ in range(int(seconds)):
            await asyncio.sleep(1.0)
            highest = max(highest, resident(pids))
        print(
            f"slow: {clients} clients at 1 KB/s for {seconds:.0f} s: {before:.1f} MiB before, {highest:.1f} MiB at most"
        )
        alive = sum(not reader.done() for reader in readers)
        print(f"slow: {alive} of them were still being served; {(highest - before) / clients * 1024:.0f} KiB each")
        await cancel(readers)


async def read_slowly(port: int) -> None:
    """1,024 bytes a second of an endless stream."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /pour HTTP/1.1\r\nHost: a\r\n\r\n")
        while await loop.sock_recv(client, 1_024):
            await asyncio.sleep(1.0)


async def cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def many_idle(streams: int) -> None:
    """Memory with so many open streams that do not move."""
    count = 1 if raise_limit() > 2 * streams + 200 else 2
    async with relays(count) as (port, pids):
        before = resident(pids)
        pool = Pool(f"http://127.0.0.1:{port}", limits=PoolLimits(connections=streams))
        opened: list[ClientResponse] = []
        for _ in range(0, streams, 100):
            opened += await asyncio.gather(*(open_idle(pool) for _ in range(100)))
        await asyncio.sleep(1.0)
        after = resident(pids)
        alive = sum(response.error is None for response in opened)
        print(f"idle: {alive} streams through {count} relay(s): {before:.1f} MiB before, {after:.1f} MiB with them")
        print(f"idle: {(after - before) / streams * 1024:.1f} KiB a stream")
        await pool.close()


async def open_idle(pool: Pool) -> ClientResponse:
    """A stream whose first piece has come."""
    response = await pool.request("GET", "/idle")
    await anext(response)
    return response


async def measure(parts: list[str]) -> None:
    """One part after the other."""
    raise_limit()
    if "growth" in parts:
        await growth(200_000, 2_000)
    if "slow" in parts:
        await slow(1_000, 20.0)
    if "idle" in parts:
        await many_idle(10_000)


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["growth", "slow", "idle"])
    parser.add_argument("--serve-upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve_upstream:
        raise_limit()
        uvloop.run(serve_upstream(options.serve_upstream))
    else:
        uvloop.run(measure(options.parts))


if __name__ == "__main__":
    main()
