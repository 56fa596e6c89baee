"""One sandbox backend as a process of its own: `python -m equipoise.sandbox PROFILE`.

It prints one line of JSON (name, kind, url, port, pid) once it listens, and ends with SIGTERM or, so that nothing is
left behind when its parent is killed, with the end of its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

import msgspec

from equipoise.sandbox.backend import SandboxBackend
from equipoise.sandbox.faults import Faults
from equipoise.sandbox.profile import Profile, seeded


def arguments(given: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m equipoise.sandbox", description="Run one sandbox backend.")
    parser.add_argument("profile", choices=[profile.name for profile in seeded(1)])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default="{}", help="JSON, as for POST /__faults")
    return parser.parse_args(given)


def profile_named(name: str, seed: int) -> Profile:
    """The profile of that name from the default four."""
    return next(profile for profile in seeded(seed) if profile.name == name)


async def serve(options: argparse.Namespace) -> None:
    """Listen until told to end."""
    faults = Faults().merged(msgspec.json.decode(options.faults, type=dict))
    backend = SandboxBackend(profile_named(options.profile, options.seed))
    await backend.start(options.host, options.port)
    backend.set_faults(faults)
    about = {"name": backend.profile.name, "kind": backend.profile.kind, "url": backend.url, "port": backend.port}
    sys.stdout.write(msgspec.json.encode(about | {"pid": os.getpid()}).decode() + "\n")
    sys.stdout.flush()
    await _told_to_end()
    await backend.stop()


async def _told_to_end() -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    closed = asyncio.ensure_future(reader.read())
    closed.add_done_callback(lambda _: ended.set())
    await ended.wait()
    closed.cancel()


if __name__ == "__main__":
    asyncio.run(serve(arguments(sys.argv[1:])))
