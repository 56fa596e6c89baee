"""One line a request, written beside the request path."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, Protocol

from equipoise.core.model import Event, RequestEnded, dollars
from equipoise.telemetry.lines import console_line, json_line, moment


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
        self._line = json_line if style == "json" else _for_people
        self._waiting: deque[tuple[float, RequestEnded]] = deque()
        self._awake = False
        self._due, self._closing = threading.Event(), threading.Event()
        self._unsaid = 0
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="equipoise-access-log", daemon=True)
        self._thread.start()

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
        lines = [self._line(fields_of(wall, event)) for wall, event in events]
        if unsaid:
            lines.append(self._line({"time": moment(self._wall()), "message": f"{unsaid} lines were dropped"}))
        if not lines:
            return
        try:
            self._sink.write("\n".join(lines) + "\n")
            self._sink.flush()
        except (OSError, ValueError):  # a full disk, a reader that left, a closed stream: requests go on, we count
            self.dropped += len(events)


def fields_of(wall: float, event: RequestEnded) -> dict[str, Any]:
    """What a line says, in its order; what there is not is left out."""
    fields = {
        "time": moment(wall),
        "status": event.status,
        "seconds": round(event.duration, 4),
        "cost_usd": dollars(event.cost),
        "backend": event.backend_id,
        "route": event.route[:200],
        "tenant": event.tenant[:200],
        "attempts": event.attempts,
        "stream": event.stream or None,
        "error": event.error_code,
        "interrupted": event.interrupted or None,
        "request_id": event.request_id[:200],
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _for_people(fields: dict[str, Any]) -> str:
    return f"{fields['time']} " + console_line({name: value for name, value in fields.items() if name != "time"})
