"""What is looked at before a phase begins; nothing here costs money, and nothing passes without having been looked at."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from equipoise.backends.base import BackendClient
from equipoise.core.model import BackendType
from equipoise.stores import Ledger, StoreError
from equipoise.stores.state import StateStore

OK, WARNING, FAILED = "ok", "warning", "failed"
CONNECT_SECONDS, PROBE_SECONDS = 5.0, 10.0
MEBIBYTE = 1024 * 1024
NO_SPACE, LITTLE_SPACE = 20 * MEBIBYTE, 200 * MEBIBYTE
NO_MEMORY, LITTLE_MEMORY = 64 * MEBIBYTE, 256 * MEBIBYTE
HOSTED = {"api.perplexity.ai": "PERPLEXITY_API_KEY", "api.openai.com": "OPENAI_API_KEY"}


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at: ok, warning or failed."""

    name: str
    state: str
    text: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A backend to look at; a function has no address."""

    name: str
    client: BackendClient
    url: str | None = None
    has_key: bool = True
    kind: BackendType = BackendType.FUNCTION


Look = Callable[[], Sequence[Check]]


async def check_all(
    targets: Sequence[Target],
    *,
    environ: Mapping[str, str],
    folder: Path,
    store: StateStore,
    ledger: Ledger | None,
    configuration: Look = tuple,
) -> list[Check]:
    """Everything, in the order of the specification: variables, addresses, health endpoints, configuration, resources."""
    found = [environment(targets, environ)]
    found += await asyncio.gather(*(connectivity(target) for target in targets))
    found += await asyncio.gather(*(health_endpoint(target) for target in targets))
    found += await asyncio.to_thread(configuration)
    found += [await asyncio.to_thread(disk, folder), await asyncio.to_thread(memory)]
    return [*found, await asyncio.to_thread(state_writable, store), await ledger_writable(ledger)]


def environment(targets: Sequence[Target], environ: Mapping[str, str]) -> Check:
    """Every provider that wants a key has one, from its variable or from the configuration."""
    missing = {
        f"{HOSTED[host]} (for {target.name})"
        for target in targets
        if not target.has_key and (host := urlsplit(target.url or "").hostname or "") in HOSTED
    }
    if missing:
        return Check("environment variables", FAILED, f"not set: {', '.join(sorted(missing))}")
    named = sorted(variable for variable in set(HOSTED.values()) if environ.get(variable))
    return Check(
        "environment variables", OK, f"every hosted backend has its key{f' ({chr(44).join(named)})' if named else ''}"
    )


async def connectivity(target: Target) -> Check:
    """Does somebody listen at its address?"""
    name = f"connectivity: {target.name}"
    if target.url is None:
        return Check(name, OK, "an object of this process")
    parts = urlsplit(target.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, port)
        writer.close()
    except TimeoutError:
        return Check(name, FAILED, f"{parts.hostname}:{port} does not answer in {CONNECT_SECONDS:g} s")
    except (OSError, socket.gaierror) as error:
        return Check(name, FAILED, f"{parts.hostname}:{port}: {error.strerror or error}")
    return Check(name, OK, f"{parts.hostname}:{port} accepts connections")


async def health_endpoint(target: Target) -> Check:
    """What its free health probe says."""
    name = f"health endpoint: {target.name}"
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            result = await target.client.probe()
    except TimeoutError:
        return Check(name, FAILED, f"no reply in {PROBE_SECONDS:g} s")
    if not result.healthy:
        return Check(name, FAILED, str(result.error))
    return Check(name, OK, f"{result.seconds * 1e3:.0f} ms{_said(result.details)}")


def _said(details: Mapping[str, Any]) -> str:
    plain = [f"{key}={value}" for key, value in details.items() if not isinstance(value, dict | list)]
    return f", {', '.join(plain)[:200]}" if plain else ""


def disk(folder: Path) -> Check:
    """Is there room for the state and the ledger?"""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check("resources: disk", FAILED, f"{folder}: {error.strerror}")
    return Check("resources: disk", _level(free, NO_SPACE, LITTLE_SPACE), f"{free // MEBIBYTE} MiB free in {folder}")


def memory(source: Path = Path("/proc/meminfo")) -> Check:
    """Is there memory left? Where the system does not tell, that is said."""
    try:
        told = re.search(r"^MemAvailable:\s+(\d+) kB", source.read_text(), re.MULTILINE)
    except OSError:
        told = None
    if told is None:
        return Check("resources: memory", WARNING, "not measured: this system does not tell")
    free = int(told[1]) * 1024
    return Check("resources: memory", _level(free, NO_MEMORY, LITTLE_MEMORY), f"{free // MEBIBYTE} MiB available")


def _level(free: int, none: int, little: int) -> str:
    return FAILED if free < none else WARNING if free < little else OK


def state_writable(store: StateStore) -> Check:
    """Can the state of the migration be written? It is tried."""
    try:
        store.add("checks", 0, {"runs": 1})
    except StoreError as error:
        return Check("state", FAILED, str(error))
    return Check("state", OK, f"{store.database.name} is writable")


async def ledger_writable(ledger: Ledger | None) -> Check:
    """Is everything that was recorded durable? Flushes the ledger to find out."""
    if ledger is None:
        return Check("ledger", WARNING, "switched off: no bill, no stories of requests")
    try:
        await ledger.flush()
    except StoreError as error:
        return Check("ledger", FAILED, str(error))
    health = ledger.health()
    return Check("ledger", OK if health.ok else FAILED, health.error or f"{ledger.database.name} is written")
