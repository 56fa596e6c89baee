"""Scored answers to begin with, from a file of JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Label(msgspec.Struct, frozen=True):
    """A scored answer: what was asked, who answered, how good it was, in [0, 1]."""

    question: str
    backend: str
    quality: float


def labels_in(path: Path) -> Iterator[Label]:
    """Those of a file. Raises OSError, or ValueError naming the line that is none."""
    decode = msgspec.json.Decoder(Label).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    label = decode(line)
                except msgspec.DecodeError as error:
                    raise ValueError(f"line {number}: {error}") from error
                if not 0.0 <= label.quality <= 1.0:
                    raise ValueError(f"line {number}: quality {label.quality} lies outside [0, 1]")
                yield label
