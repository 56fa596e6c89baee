"""Points in time as people write them: `7d`, `2026-11-25`, `2026-11-25T08:00`"""

from __future__ import annotations

import re
from datetime import UTC, datetime

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhdw])")


def moment(said: str, now: float) -> float:
    """Unix seconds of a moment: so long before `now` (`90m`, `7d`), or a date or time, UTC unless it names a zone.

    Raises ValueError for anything else.
    """
    if _AGO.fullmatch(said.strip()) is not None:
        return now - duration(said)
    try:
        when = datetime.fromisoformat(said.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{said[:40]!r} is no point in time; say 7d, 12h, 2026-11-25 or 2026-11-25T08:00") from None


def duration(said: str) -> float:
    """Seconds of a duration such as `90m` or `7d`; raises ValueError for anything else."""
    found = _AGO.fullmatch(said.strip())
    if found is None:
        raise ValueError(f"{said[:40]!r} is no duration; say 45m, 12h or 30d")
    return float(found[1]) * SECONDS[found[2]]
