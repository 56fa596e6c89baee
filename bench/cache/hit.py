"""What a hit of the response cache costs: the gateway's whole work for one question, from its request to its response.

    python -m bench.cache.hit [--seconds 3] [--redis redis://127.0.0.1:6379/0]

Real gateway, balancer and configuration as `serve` makes them; a function stands for the backend. No sockets: reading and
writing HTTP is measured by `bench.http`. Prints microseconds a question for a hit, for the same question where nothing is
kept (`no-store`), and for a stream given again; with a Redis also for a hit that is found there only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from statistics import median, quantiles

from equipoise.build import build
from equipoise.cli.serving import make_gateway
from equipoise.config.load import load
from equipoise.gateway import Gateway
from equipoise.http import Request, Response

PATH = "/v1/chat/completions"
ANSWER = "Insulin resistance raises branched-chain amino acids in plasma. " * 24
QUESTION = "Which metabolites rise in type 2 diabetes, and how is that measured? " * 8


async def answer(question: str) -> str:
    """A backend of this process."""
    return ANSWER


def asked(*, stream: bool, **headers: str) -> Request:
    body = {"model": "auto", "messages": [{"role": "user", "content": QUESTION}], "stream": stream}
    fields = {b"host": b"localhost"} | {
        name.replace("_", "-").encode(): said.encode() for name, said in headers.items()
    }
    return Request("POST", PATH, "", fields, json.dumps(body).encode(), "127.0.0.1", "http")


async def given(gateway: Gateway, request: Request) -> Response:
    response = await gateway.handle(request)
    if not isinstance(response.body, bytes):
        async for _ in response.body:
            pass
    return response


async def measured(
    gateway: Gateway, request: Request, expected: str, seconds: float, *, forgetful: bool = False
) -> list[float]:
    found: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        if forgetful:
            gateway.cache.purge()
        began = time.perf_counter()
        response = await given(gateway, request)
        took = (time.perf_counter() - began) * 1e6
        said = response.status, dict(response.headers)[b"x-equipoise-cache"].decode()
        assert said == (200, expected) or forgetful, said
        if said[1] == expected:  # else Redis was not in time, on a machine that others use
            found.append(took)
    return found


async def run(seconds: float, redis: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = load(
            {
                "backend_instances": {"here": {"backend_type": "function", "function": "bench.cache.hit:answer"}},
                "routes": {"auto": {"cache": True}},
                "state_dir": folder,
                "enable_real_time_monitoring": False,
                **({"shared": {"redis": {"url": redis}}, "cache": {"redis": True}} if redis else {}),
            }
        ).config
        estate = build(config)
        gateway = make_gateway(config, estate)
        async with estate.balancer:
            gateway.cache.start()
            await asyncio.sleep(0.5)
            for name, request, expected in (
                ("hit", asked(stream=False), "hit"),
                ("no-store", asked(stream=False, cache_control="no-store"), "bypass"),
                ("hit, streamed", asked(stream=True), "hit"),
            ):
                await given(gateway, request)
                tell(name, await measured(gateway, request, expected, seconds))
            if redis:
                await asyncio.sleep(0.5)
                tell("hit in Redis", await measured(gateway, asked(stream=False), "hit", seconds, forgetful=True))
                print(f"               {gateway.cache.status()['redis']}")
        await gateway.cache.close()


def tell(name: str, found: list[float]) -> None:
    p99 = quantiles(found, n=100)[98]
    print(f"{name:14} median {median(found):6.1f} us, p99 {p99:6.1f} us, {len(found)} questions")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--redis", help="a Redis that may be written to")
    said = parser.parse_args()
    asyncio.run(run(said.seconds, said.redis))


if __name__ == "__main__":
    main()
