"""One line a request, written beside the request path."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec

from equipoise.core.events import Event, RequestEnded, hears
from equipoise.core.model import dollars
from equipoise.telemetry.lines import cleaned, cleaned_word, console_line, json_line, moment, quoted, quoted_word

_encode = msgspec.json.Encoder().encode


class Sink(Protocol):
    """Where lines go: a text stream."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class AccessLog:
    """Writes how each request ended, at most `flush_seconds` later, in a thread of its own.

    A line names the request, what it came to and what it cost; never a question, an answer, a key or a header. When the
    sink is slower than the requests, at most `capacity` lines wait; what comes beyond is counted and said in the log.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        style: Literal["console", "json"] = "console",
        flush_seconds: float = 0.25,
        capacity: int = 20_000,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._sink, self._flush_seconds, self._capacity, self._wall = sink, flush_seconds, capacity, wall
        self._line = for_machines if style == "json" else for_people
        self._remark = json_line if style == "json" else console_line
        self._waiting: deque[tuple[float, RequestEnded]] = deque()
        self._awake = False
        self._due, self._closing = threading.Event(), threading.Event()
        self._unsaid = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="equipoise-access-log", daemon=True)
        self._thread.start()

    @hears(RequestEnded)
    def observe(self, event: Event) -> None:
        """Take the end of a request; other events are not for this log. Never waits."""
        if type(event) is not RequestEnded:
            return
        if len(self._waiting) >= self._capacity:
            self._unsaid += 1
            self.dropped += 1
            return
        self._waiting.append((self._wall(), event))
        # The writer lowers the flag before it drains, so an event it misses always finds it down.
        if not self._awake:
            self._awake = True
            self._due.set()

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits and stop; a sink that blocks longer than `timeout` seconds is left alone."""
        self._closing.set()
        self._due.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._due.wait()
            self._closing.wait(self._flush_seconds)
            self._due.clear()
            self._awake = False
            self._write()
        self._write()

    def _write(self) -> None:
        events = [self._waiting.popleft() for _ in range(len(self._waiting))]
        unsaid, self._unsaid = self._unsaid, 0
        lines = [self._line(wall, event) for wall, event in events]
        if unsaid:
            lines.append(self._remark({"time": moment(self._wall()), "message": f"{unsaid} lines were dropped"}))
        if not lines:
            return
        try:
            self._sink.write("\n".join(lines) + "\n")
            self._sink.flush()
        except (OSError, ValueError):  # a full disk, a reader that left, a closed stream: requests go on, we count
            self.dropped += len(events)


LONGEST = 200


def for_people(wall: float, event: RequestEnded) -> str:
    """The line as `key=value` after the time."""
    told = (
        f"{moment(wall)} status={event.status} seconds={round(event.duration, 4)} cost_usd={dollars(event.cost)}"
        f" attempts={event.attempts} route={quoted_word(event.route[:LONGEST])}"
        f" tenant={quoted_word(event.tenant[:LONGEST])}"
    )
    for name, value in _besides(event, quoted_word).items():
        told += f" {name}={value}"
    return f"{told} request_id={quoted(event.request_id[:LONGEST])}"


def for_machines(wall: float, event: RequestEnded) -> str:
    """The line as a JSON object of the same fields."""
    told: dict[str, Any] = {
        "time": moment(wall),
        "status": event.status,
        "seconds": round(event.duration, 4),
        "cost_usd": dollars(event.cost),
        "attempts": event.attempts,
        "route": cleaned_word(event.route[:LONGEST]),
        "tenant": cleaned_word(event.tenant[:LONGEST]),
        **_besides(event, cleaned_word),
        "request_id": cleaned(event.request_id[:LONGEST]),
    }
    return _encode(told).decode()


def _besides(event: RequestEnded, word: Callable[[str], str]) -> dict[str, str]:
    """What a line says only where there is something to say; names pass through `word`."""
    said: dict[str, str] = {}
    if event.backend_id:
        said["backend"] = word(event.backend_id)
    if event.cache:
        said["cache"] = event.cache
    if event.stream:
        said["stream"] = _end_of(event)
    if event.error_code:
        said["error"] = word(event.error_code)
    return said


def _end_of(event: RequestEnded) -> str:
    """How a stream ended: cut by its upstream, left by its client, refused before it began, or whole."""
    if event.interrupted:
        return "interrupted"
    return "whole" if event.error_code is None else "left" if event.error_code == "cancelled" else "refused"
