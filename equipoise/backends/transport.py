"""One upstream's address, headers and patience; every way it can fail becomes a BackendError."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final
from urllib.parse import urlsplit

import msgspec

from equipoise.backends.base import BackendError
from equipoise.backends.classify import Blame, malformed, rejected, unreachable
from equipoise.backends.sse import EventTooLarge
from equipoise.core.model import NanoUSD, Usage
from equipoise.http import ClientResponse, HTTPError, Pool, Timeouts

ERROR_LIMIT: Final = 65_536
"""Bytes of an error body that are read."""

ANSWER_LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a whole answer that are read."""

TRAILING: Final = 0.1
"""Seconds to wait after the last event for the end of the body, so that the connection can be used again."""

DEADLINE: Final = b"x-equipoise-deadline-ms"
"""How long we wait for this attempt, of what the client gave: another gateway behind us goes by it, others need not care."""

HeaderList = tuple[tuple[bytes, bytes], ...]
Trace = Iterable[tuple[bytes, bytes]]

_NAME = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PATH = re.compile(r"[\x21-\x7e]*")
_VERSION = re.compile(r"v\d+\w*")
_FRAMING: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to wait: for a connection, for the first byte of a stream (None: as long as the attempt may take), between
    bytes. An answer in one piece begins when it is done, so only the time for the whole attempt bounds it."""

    connect: float = 5.0
    first_byte: float | None = None
    idle: float = 60.0

    def timeouts(self, total: float, *, streamed: bool = True) -> Timeouts:
        """The deadlines of one exchange that may take `total` seconds."""
        first = total if self.first_byte is None or not streamed else min(self.first_byte, total)
        return Timeouts(connect=min(self.connect, total), first_byte=first, between_bytes=self.idle, total=total)


def endpoint(url: str, *, version: bool = False) -> tuple[str, str]:
    """Split an endpoint URL into its origin and its base path; with `version`, the path ends in `/v1` or is versioned.

    Raises ValueError for what is no http(s) URL, or one with a user, a query or a fragment.
    """
    parts = urlsplit(url.strip())
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        raise ValueError("an endpoint must be http(s)://host[:port][/path], without user, query or fragment")
    path = parts.path.rstrip("/").removesuffix("/chat/completions")
    if not _PATH.fullmatch(path):
        raise ValueError("the path of an endpoint must be plain, percent-encoded where it is not")
    if version and not any(_VERSION.fullmatch(step) for step in path.split("/")):
        path += "/v1"
    return f"{parts.scheme}://{parts.netloc}", path


def header_list(own: Mapping[str, str], custom: Mapping[str, str] | None = None) -> HeaderList:
    """Our headers and the operator's, his last word; raises ValueError for one that could break the framing."""
    merged = {name.lower().encode(): value.encode() for name, value in {**own, **lowered(custom or {})}.items()}
    for name, value in merged.items():
        if not _NAME.fullmatch(name) or name in _FRAMING or re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise ValueError(f"the header {name.decode()!r} cannot be sent")
    return tuple(merged.items())


def lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers under small names."""
    return {name.lower(): value for name, value in headers.items()}


class Spent(msgspec.Struct, frozen=True):
    """What an attempt that goes wrong may have cost all the same."""

    usage: Usage | None = None
    cost: NanoUSD | None = None


class Reading:
    """Turns what goes wrong inside a `with` into a BackendError that knows what was spent until then."""

    __slots__ = ("_blame", "_spent")

    def __init__(self, blame: Blame, spent: Callable[[], Spent] | None) -> None:
        self._blame, self._spent = blame, spent

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, HTTPError | EventTooLarge | BackendError):
            return
        failure = self._translated(error)
        spent = self._spent() if self._spent is not None else Spent()
        if failure.usage is None:
            failure.usage = spent.usage
        if failure.metered_cost is None:
            failure.metered_cost = spent.cost
        if failure is not error:
            raise failure from error

    def _translated(self, error: HTTPError | EventTooLarge | BackendError) -> BackendError:
        if isinstance(error, BackendError):
            return error
        if isinstance(error, HTTPError):
            return unreachable(error, self._blame)
        return malformed(f"the stream has {error}", self._blame)


class Upstream:
    """Exchanges with one origin; raises only BackendError (and lets cancellation pass, the connection closed)."""

    def __init__(self, origin: str, pool: Pool | None, headers: HeaderList, blame: Blame, patience: Patience) -> None:
        self.blame, self.patience = blame, patience
        self._headers = headers
        self._pool = Pool(origin) if pool is None else pool

    async def post(
        self,
        target: str,
        body: bytes,
        timeout: float,
        *,
        trace: Trace = (),
        repeat: bool = False,
        streamed: bool = True,
        blame: Blame | None = None,
    ) -> ClientResponse:
        """Send a JSON body; returns once a success's head is there. Redirects are failures: they are never followed."""
        headers = (*self._headers, *trace, (DEADLINE, b"%d" % int(timeout * 1000.0)))
        timeouts = self.patience.timeouts(timeout, streamed=streamed)
        try:
            response = await self._pool.request(
                "POST", target, headers=headers, body=body, timeouts=timeouts, retry_stale=repeat
            )
        except HTTPError as error:
            raise unreachable(error, self.blame) from error
        if not 200 <= response.status < 300:
            raise await self._rejection(response, blame or self.blame)
        return response

    async def get(self, target: str, timeout: float) -> tuple[int, bytes]:
        """Ask for a small document; returns its status, whatever it is, and body. For probes."""
        status, _, body = await self.look(target, timeout)
        return status, body

    async def answers_at(self, path: str, timeout: float) -> dict[str, str | int]:
        """Ask at a path of the operator's for any success; raises BackendError for all else."""
        status, _ = await self.get(path, timeout)
        if not 200 <= status < 300:
            raise malformed(f"{path} answered {status}", self.blame)
        return {"path": path, "status": status}

    async def look(self, target: str, timeout: float) -> tuple[int, Mapping[bytes, bytes], bytes]:
        """The same with the headers, whose names are in small letters."""
        try:
            response = await self._pool.request(
                "GET", target, headers=self._headers, timeouts=Patience(first_byte=timeout).timeouts(timeout)
            )
            return response.status, response.headers, await response.read(ANSWER_LIMIT)
        except HTTPError as error:
            raise unreachable(error, self.blame) from error

    async def read(self, response: ClientResponse) -> bytes:
        """The whole body of an answer."""
        try:
            return await response.read(ANSWER_LIMIT)
        except HTTPError as error:
            raise unreachable(error, self.blame) from error

    def reading(self, spent: Callable[[], Spent] | None = None) -> Reading:
        """A `with` block in which an answer is read; see `Reading`."""
        return Reading(self.blame, spent)

    async def _rejection(self, response: ClientResponse, blame: Blame) -> BackendError:
        try:
            body = await response.read(ERROR_LIMIT)
        except HTTPError:  # the status is enough to judge by
            body = b""
        return rejected(response.status, response.headers, body, blame)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.close()


async def read_to_end(response: ClientResponse) -> None:
    """Let the body end; the answer is already whole, so what goes wrong now costs the connection and nothing else."""
    if response.complete:
        return
    with suppress(HTTPError, TimeoutError):
        async with asyncio.timeout(TRAILING):
            async for _ in response:
                pass
