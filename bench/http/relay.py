"""A bare relay, our server in front of our pool and nothing between: the floor under every gateway figure.

    python bench/http/relay.py --port 8000 --upstream http://127.0.0.1:9001 --upstream http://127.0.0.1:9002

Any bench that speaks to a gateway can drive it; upstreams are taken in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import resource
import signal

import uvloop

from equipoise.http import HTTPError, Pool, PoolLimits, Request, Response, Server, ServerLimits

# What a relay does not pass on, besides what the server sets itself.
KEPT = (b"content-type", b"accept", b"user-agent")


def relay(pools: list[Pool]) -> Server:
    """A server whose only handler passes every request to the next pool."""
    turn = itertools.cycle(pools)

    async def handler(request: Request) -> Response:
        headers = request.headers
        passed = [(name, headers[name]) for name in KEPT if name in headers]
        passed.append((b"authorization", b"Bearer sk-upstream"))
        target = f"{request.path}?{request.query}" if request.query else request.path
        try:
            answer = await next(turn).request(
                request.method, target, headers=passed, body=request.body, retry_stale=True
            )
            if b"content-length" in answer.headers:
                return Response(answer.status, list(answer.headers.items()), await answer.read())
        except HTTPError as error:
            return Response(502, (), str(error).encode())
        return Response(answer.status, list(answer.headers.items()), answer)

    return Server(handler, limits=ServerLimits(connections=20_000))


async def serve(port: int, upstreams: list[str], *, reuse_port: bool) -> None:
    """Relay until SIGTERM or SIGINT."""
    pools = [Pool(upstream, limits=PoolLimits(connections=20_000)) for upstream in upstreams]
    server = relay(pools)
    await server.start(port=port, reuse_port=reuse_port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await server.drain(5.0)
    for pool in pools:
        await pool.close()


def raise_limit() -> None:
    """As many open files as the system allows: a stream takes two."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> None:
    """Read the command line and relay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--upstream", action="append", required=True)
    parser.add_argument("--reuse-port", action="store_true")
    options = parser.parse_args()
    raise_limit()
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port, options.upstream, reuse_port=options.reuse_port))


if __name__ == "__main__":
    main()
