"""What a sandbox backend will send, decided in full before the first byte: pieces, pauses and how it ends."""

from __future__ import annotations

import enum
import http
import random
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from equipoise.core.model import NanoUSD
from equipoise.http import Request
from equipoise.sandbox.knowledge import Knowledge
from equipoise.sandbox.profile import Pace, Profile

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
EVENTS = b"text/event-stream; charset=utf-8"

Field: TypeAlias = tuple[bytes, bytes]
Piece: TypeAlias = tuple[float, bytes]


class Ending(enum.Enum):
    """How the last byte is followed: properly, by a reset, by a close without terminator, or by silence."""

    PROPER = "proper"
    RESET = "reset"
    STALL = "stall"


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One response: each piece is sent after its own pause (seconds). `cost` is what the backend bills for it."""

    pieces: tuple[Piece, ...]
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[Field, ...] = ()
    streamed: bool = False
    ending: Ending = Ending.PROPER
    cost: NanoUSD = 0

    @property
    def pause(self) -> float:
        """Seconds before a whole body is ready."""
        return sum(seconds for seconds, _ in self.pieces)

    @property
    def body(self) -> bytes:
        """All pieces joined."""
        return b"".join(data for _, data in self.pieces)


def document(
    content: Any, *, status: int = 200, pause: float = 0.0, headers: tuple[Field, ...] = (), cost: NanoUSD = 0
) -> Script:
    """A whole JSON body."""
    pieces = ((pause, msgspec.json.encode(content)),)
    return Script(pieces=pieces, status=status, headers=headers, cost=cost)


class Refusal(Exception):
    """The request is not answered, but told why."""

    def __init__(self, script: Script) -> None:
        super().__init__(f"refused with {script.status}")
        self.script = script


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer may depend on besides the request: nothing else makes two runs differ."""

    profile: Profile
    knowledge: Knowledge
    chance: random.Random
    pace: Pace
    now: int
    answerless: bool = False

    def identifier(self, prefix: str) -> str:
        """A fresh id that is the same in every run with this seed."""
        return f"{prefix}{self.chance.getrandbits(96):024x}"


Play: TypeAlias = Callable[[Request, Turn], Script]


class Route(msgspec.Struct, frozen=True):
    """What is done at one path; `paid` says that a real provider would charge for it."""

    play: Play
    paid: bool = False


class Dialect(msgspec.Struct, frozen=True):
    """One wire format: its paths, and how it words a failure of the given status."""

    routes: dict[tuple[str, str], Route]
    failure: Callable[[int, str], Script]


def phrase(status: int) -> str:
    """The standard's words for a status, or for its class."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Client Error" if status < 500 else "Server Error"


def bearer(request: Request) -> str:
    """The key of an `Authorization: Bearer` field, or nothing."""
    scheme, _, key = request.headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""
