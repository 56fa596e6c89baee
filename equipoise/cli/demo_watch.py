"""The demo while it runs: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

from equipoise.cli.output import shows_colour
from equipoise.sandbox.demo.asking import Fate, Heard

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_EVERY = 10
LAST_LINES = 9


class Screen(Protocol):
    """Shows what happens until `end`."""

    def happened(self, text: str) -> None: ...

    def heard(self, heard: Heard) -> None: ...

    def end(self) -> None: ...


@contextlib.contextmanager
def watcher(*, quiet_stdout: bool) -> Iterator[Screen]:
    """A screen on stderr when stdout is for a document, else on stdout; live only on a terminal with colours."""
    stream = sys.stderr if quiet_stdout else sys.stdout
    screen = LiveTable(stream) if stream.isatty() and shows_colour(stream) else Lines(stream)
    try:
        yield screen
    finally:
        screen.end()


class Tally:
    """Counts and sentences that both kinds of screen show."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.answers: Counter[str] = Counter()
        self.seconds: dict[str, float] = {}
        self.fates: Counter[Fate] = Counter()

    def add(self, heard: Heard) -> str:
        """Count one question; returns a sentence if it is worth telling, else nothing."""
        self.fates[heard.fate] += 1
        if heard.fate is Fate.ANSWERED:
            self.answers[heard.backend] += 1
            self.seconds[heard.backend] = heard.seconds
        return remarkable(heard)

    @property
    def line(self) -> str:
        """How far it is."""
        shares = "  ".join(f"{name} {count}" for name, count in sorted(self.answers.items()))
        return f"{self.fates.total():>4} questions   {shares}"

    def stamped(self, text: str) -> str:
        """The text with the seconds since the start."""
        return f"[{time.monotonic() - self.began:5.1f} s] {text}"


def remarkable(heard: Heard) -> str:
    """What to say of a question that did not simply go through."""
    number = f"question {heard.question.number}"
    if heard.fate is Fate.FAILED:
        return f"{number} FAILED: {heard.error}"
    if heard.fate is Fate.INTERRUPTED:
        return f"{number}: the stream from {heard.backend} was cut after its first byte; the client was told"
    if heard.attempts > 1:
        return f"{number}: {heard.fallback_from or 'another'} gave no answer, {heard.backend} did"
    return ""


class Lines:
    """One line for each thing that happens, and one for every ten questions."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._tally = stream, Tally()

    def happened(self, text: str) -> None:
        """Write it with its time."""
        self._stream.write(self._tally.stamped(text) + "\n")
        self._stream.flush()

    def heard(self, heard: Heard) -> None:
        """Count it, and say so now and then."""
        if told := self._tally.add(heard):
            self.happened(told)
        if self._tally.fates.total() % LINE_EVERY == 0:
            self.happened(self._tally.line)

    def end(self) -> None:
        """Nothing to clear."""


class LiveTable:
    """A table that is redrawn, with the last sentences under it."""

    def __init__(self, stream: TextIO) -> None:
        self._tally = Tally()
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._live = _live(stream)
        self._live.start()

    def happened(self, text: str) -> None:
        """Keep it among the last sentences."""
        self._said.append(self._tally.stamped(text))
        self._live.update(self._drawn())

    def heard(self, heard: Heard) -> None:
        """Count it and draw."""
        if told := self._tally.add(heard):
            self._said.append(self._tally.stamped(told))
        self._live.update(self._drawn())

    def end(self) -> None:
        """Leave the last picture."""
        self._live.stop()

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title=f"{self._tally.fates.total()} questions asked", title_justify="left")
        for column in ("backend", "answers", "", "last answer"):
            drawn.add_column(column)
        for name, count in sorted(self._tally.answers.items()):
            drawn.add_row(name, str(count), "█" * (count // 2 + 1), f"{self._tally.seconds[name]:.2f} s")
        return Group(drawn, *(Text(line) for line in self._said))


def _live(stream: TextIO) -> Live:
    from rich.console import Console
    from rich.live import Live

    return Live(console=Console(file=stream), refresh_per_second=8)
