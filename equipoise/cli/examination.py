"""What `doctor` looks at: each look gives findings, and none stops the others."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from equipoise.build.store import state_in
from equipoise.cli.configured import estate_of
from equipoise.cli.exits import Failure
from equipoise.config import Config
from equipoise.config.errors import ConfigurationError
from equipoise.config.load import Loaded, load
from equipoise.config.save import config_hash
from equipoise.http import HTTPError, Pool, Timeouts
from equipoise.stores.database import StoreError

if TYPE_CHECKING:
    from equipoise.backends.base import BackendClient

OK, WARN, FAIL = "ok", "warning", "failed"
LITTLE_SPACE = 100 * 1024 * 1024
RESOLVE_SECONDS = 5.0
CLOCK_SECONDS, MOST_SKEW, LONGEST_PAGE = 5.0, 5.0, 65_536


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    check: str
    state: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """For --json."""
        return asdict(self)


async def examine(file: Path | None, budget_usd: float | None) -> list[Finding]:
    """Everything, in the order of dependence. With a budget, each backend is asked a question too."""
    findings = [Finding("event loop", OK, type(asyncio.get_running_loop()).__module__)]
    try:
        loaded = load(file)
    except ConfigurationError as error:
        return [*findings, Finding("configuration", FAIL, str(error))]
    findings.append(Finding("configuration", OK, f"{loaded.source} ({config_hash(loaded.config)})"))
    findings += [Finding("configuration", WARN, warning) for warning in loaded.warnings]
    findings += [state_directory(loaded.config.state_path), store(loaded.config)]
    return findings + [finding async for finding in backends(loaded, budget_usd)]


def state_directory(path: Path) -> Finding:
    """Can state be kept there?"""
    try:
        path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path).free
        probe = path / ".equipoise-doctor"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Finding("state directory", FAIL, f"{path}: {error.strerror}")
    text = f"{path}, {free // (1024 * 1024)} MiB free"
    return Finding("state directory", WARN if free < LITTLE_SPACE else OK, text)


def store(config: Config) -> Finding:
    """Can the ledger be had, wherever it is kept?"""
    if config.shared.postgres is None or config.ledger_path is None:
        return ledger(config.ledger_path)
    try:
        database = state_in(config)
        with database.reading("the state") as connection:
            ((version,),) = connection.execute("SELECT current_setting('server_version')").fetchall()
    except StoreError as error:
        return Finding("store", FAIL, str(error))
    return Finding("store", OK, f"{database.name} (PostgreSQL {version})")


def ledger(path: Path | None) -> Finding:
    """Is the ledger a whole database? It is opened for reading only."""
    if path is None:
        return Finding("ledger", WARN, "switched off: no bill, no stories of requests")
    if not path.exists():
        return Finding("ledger", OK, f"{path} will be made (SQLite {sqlite3.sqlite_version})")
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        return Finding("ledger", FAIL, f"{path}: {error}")
    return Finding("ledger", OK if verdict == "ok" else FAIL, f"{path}: {verdict} (SQLite {sqlite3.sqlite_version})")


async def backends(loaded: Loaded, budget_usd: float | None) -> AsyncIterator[Finding]:
    """Name, free probe and, with a budget, one question for each."""
    try:
        balancer = estate_of(loaded).balancer
    except Failure as error:
        yield Finding("backends", FAIL, str(error))
        return
    try:
        for backend in loaded.config.backend_instances.values():
            yield await resolved(backend.id, backend.endpoint_url)
            if backend.endpoint_url is not None:
                yield await clock(backend.id, backend.endpoint_url)
            yield await probed(backend.id, balancer.clients[backend.id])
        if budget_usd is not None:
            from equipoise.cli.live import live_questions

            async for finding in live_questions(balancer, budget_usd):
                yield finding
    finally:
        await balancer.close()


async def resolved(name: str, url: str | None) -> Finding:
    """Does its name lead to an address?"""
    check = f"{name}: address"
    if url is None:
        return Finding(check, OK, "a function of this process")
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        return Finding(check, FAIL, f"{parts.hostname} was not resolved in {RESOLVE_SECONDS:g} s")
    except OSError as error:
        return Finding(check, FAIL, f"{parts.hostname}: {error.strerror or error}")
    return Finding(
        check, OK, f"{parts.hostname} is {', '.join(dict.fromkeys(str(a[4][0]) for a in found))}, port {port}"
    )


async def clock(name: str, url: str) -> Finding:
    """Do its clock and ours agree? Its Date says; tokens and limits by the minute depend on it."""
    check, parts = f"{name}: clock", urlsplit(url)
    async with AsyncExitStack() as stack:
        timeouts = Timeouts(connect=CLOCK_SECONDS, first_byte=CLOCK_SECONDS, between_bytes=CLOCK_SECONDS)
        pool = Pool(f"{parts.scheme}://{parts.netloc}")
        stack.push_async_callback(pool.close)
        try:
            response = await pool.request("HEAD", "/", timeouts=timeouts)
            said = response.headers.get(b"date", b"").decode("latin-1")
            await response.read(LONGEST_PAGE)
        except HTTPError as error:
            return Finding(check, WARN, f"not compared: {error}")
        return skew(check, said, time.time())


def skew(check: str, said: str, now: float) -> Finding:
    """How far a Date (RFC 9110 6.6.1, whole seconds) is from ours."""
    try:
        seconds = parsedate_to_datetime(said).timestamp() - now
    except (TypeError, ValueError):
        return Finding(check, OK, "not compared: it does not say its date")
    if abs(seconds) <= MOST_SKEW:
        return Finding(check, OK, f"within {MOST_SKEW:g} s of ours")
    return Finding(check, WARN, f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} ours")


async def probed(name: str, client: BackendClient) -> Finding:
    """What its free health probe says; for OpenAI and LightRAG it tries the key too."""
    result = await client.probe()
    said = ", ".join(f"{key}={value}" for key, value in result.details.items() if not isinstance(value, dict | list))
    text = f"{result.seconds * 1e3:.0f} ms{', ' + said if said else ''}"
    return Finding(f"{name}: probe", OK if result.healthy else FAIL, text if result.healthy else str(result.error))
