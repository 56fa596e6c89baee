"""When questions come: at random at a rate that may swing over the day, or as a trace has them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from equipoise.core.model import Chance

DAY = 86_400.0


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A question: when it comes (seconds from the start), its tokens, and those of its answer (0: not known)."""

    at: float
    input_tokens: int
    output_tokens: int


def at_random(rate: float, count: int, day: float, chance: Chance, input_tokens: int) -> Iterator[Arrival]:
    """So many questions of a Poisson process; with `day` its rate swings as 1 - day x cos, lowest at the start.

    Thinning (Lewis and Shedler 1979): drawn at the highest rate, kept with the share of the present one.
    """
    now, made, highest = 0.0, 0, rate * (1.0 + day)
    while made < count:
        now += chance.expovariate(highest)
        if day and chance.random() * highest > rate * (1.0 - day * math.cos(2.0 * math.pi * now / DAY)):
            continue
        made += 1
        yield Arrival(now, input_tokens, 0)


def of_trace(file: Path, speed: float) -> Iterator[Arrival]:
    """The arrivals of a trace: Azure's CSV (TIMESTAMP, ContextTokens, GeneratedTokens) or Mooncake's JSON Lines.

    Raises OSError when it cannot be read, ValueError naming the line that cannot be understood.
    """
    began: float | None = None
    with file.open(newline="", encoding="utf-8") as lines:
        rows = csv.DictReader(lines) if file.suffix == ".csv" else map(json.loads, lines)
        for number, row in enumerate(rows, 1):
            try:
                at, read, written = _azure(row) if "TIMESTAMP" in row else _mooncake(row)
            except (KeyError, ValueError, TypeError) as error:
                raise ValueError(f"{file}: row {number} is no arrival: {error}") from error
            began = at if began is None else began
            yield Arrival((at - began) / speed, read, max(1, written))


def _azure(row: dict[str, Any]) -> tuple[float, int, int]:
    """Python reads microseconds; the trace has a digit more."""
    stamp = datetime.fromisoformat(str(row["TIMESTAMP"])[:26])
    return stamp.timestamp(), int(row["ContextTokens"]), int(row["GeneratedTokens"])


def _mooncake(row: dict[str, Any]) -> tuple[float, int, int]:
    return float(row["timestamp"]) / 1000.0, int(row["input_length"]), int(row["output_length"])
