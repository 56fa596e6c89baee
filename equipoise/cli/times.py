"""Times on the command line"""

from __future__ import annotations

import time

from equipoise.cli.exits import USAGE, Failure
from equipoise.stores import times


def moment(said: str, now: float | None = None) -> float:
    """Unix seconds of a moment: so long ago (`90m`, `7d`), or a date or time, UTC unless it names a zone. Raises Failure."""
    try:
        return times.moment(said, time.time() if now is None else now)
    except ValueError as error:
        raise Failure(str(error), USAGE) from None


def duration(said: str) -> float:
    """Seconds of a duration such as `90m` or `7d`. Raises Failure."""
    try:
        return times.duration(said)
    except ValueError as error:
        raise Failure(str(error), USAGE) from None
