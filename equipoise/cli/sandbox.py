"""`equipoise sandbox`"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from equipoise.cli.exits import OK, USAGE, Failure
from equipoise.cli.output import document, say, tell

if TYPE_CHECKING:
    from equipoise.sandbox import SandboxBackend

Base = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65_531))]


def sandbox(
    *,
    port_base: Base = 4101,
    host: str = "127.0.0.1",
    seed: int = 1,
    json: bool = False,
) -> int:
    """Run four engines that speak real wire formats, until Ctrl-C; their faults can be switched while they run.

    Parameters
    ----------
    port_base: int
        Port of the first one, the others follow; 0 lets the system choose.
    host: str
        Address to listen on.
    seed: int
        Another seed gives other delays and other failures.
    json: bool
        Print one JSON document with addresses and keys instead of text.
    """
    return asyncio.run(_run(host, port_base, seed, json=json))


async def _run(host: str, port_base: int, seed: int, *, json: bool) -> int:
    from equipoise.sandbox import SandboxBackend, seeded

    backends = [SandboxBackend(profile) for profile in seeded(seed)]
    try:
        for offset, backend in enumerate(backends):
            await _start(backend, host, port_base + offset if port_base else 0)
        document(_described(backends)) if json else _explain(backends)
        await _until_told()
    finally:
        for backend in backends:
            await backend.stop()
    return OK


async def _start(backend: SandboxBackend, host: str, port: int) -> None:
    try:
        await backend.start(host, port)
    except OSError as error:
        hint = "--port-base 0 lets the system choose free ports"
        raise Failure(
            f"{backend.profile.name} cannot listen on {host}:{port}: {error.strerror}", USAGE, hint
        ) from error


async def _until_told() -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as undo:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
            undo.callback(loop.remove_signal_handler, number)
        await told.wait()


def _described(backends: list[SandboxBackend]) -> dict[str, Any]:
    listed = [
        {"name": b.profile.name, "kind": b.profile.kind, "url": b.url, "api_key": b.profile.api_key} for b in backends
    ]
    return {"backends": listed, "config": _configuration(backends), "switch": _switch(backends[0])}


def _configuration(backends: list[SandboxBackend]) -> str:
    from equipoise.sandbox.snippet import configuration

    return configuration({b.profile.name: b.url for b in backends}, tuple(b.profile for b in backends))


def _switch(backend: SandboxBackend) -> str:
    return f"""curl {backend.url}/__faults -d '{{"error_rate": 0.3, "error_status": 503}}'"""


def _explain(backends: list[SandboxBackend]) -> None:
    for backend in backends:
        say(f"# {backend.profile.name:<12} {backend.profile.kind:<11} {backend.url}")
    say("\n# A configuration for them (equipoise serve -c FILE):")
    say(_configuration(backends), end="")
    say("\n# Switch a fault on, look at all there are, switch it off (null is the default), look at the counts:")
    say(_switch(backends[0]))
    url = backends[0].url
    say(f"curl {url}/__faults")
    say(f"""curl {url}/__faults -d '{{"error_rate": null}}'""")
    say(f"curl {url}/__stats")
    tell("\nRunning; Ctrl-C ends it.")
