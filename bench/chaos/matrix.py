"""The fault matrix as a table: `python -m bench.chaos.matrix`.

Every fault before the shipped gateway, for every kind of backend, asked in four ways. `answered` means whole, by the healthy
backend; `told` means that an answer whose words were out already ended in an explicit error; `whole` that the fault let the
answer through. Exit code 1 when a cell is anything else, or the ledger is not what the clients were told.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench.chaos import envoy
from bench.chaos.contestants import PLACE
from tests.end_to_end.faults.estate import KINDS, Estate
from tests.end_to_end.faults.judging import COOLING, Cell, every_cell


def outcome(cell: Cell) -> str:
    """In a word."""
    if cell.wrong:
        return "WRONG"
    if cell.heard.error is not None:
        return "told"
    by_another = cell.heard.fallback_from is not None or cell.fault in COOLING  # then the other one was asked at once
    return "answered" if by_another else "whole"


def lines(cells: list[Cell]) -> list[str]:
    """A row for each fault, a column for each kind; the four ways of asking are counted in the cell."""
    found: dict[str, dict[str, Counter[str]]] = {}
    for cell in cells:
        found.setdefault(cell.fault, {}).setdefault(cell.kind, Counter())[outcome(cell)] += 1
    head = f"{'':<30}" + "".join(f"{kind:<24}" for kind in KINDS)
    rows = [f"{fault:<30}" + "".join(f"{_told(of[kind]):<24}" for kind in KINDS) for fault, of in found.items()]
    wrong = [f"{cell.fault}, {cell.kind}, {cell.dialect}: {cell.wrong}" for cell in cells if cell.wrong]
    return [head, *rows, *wrong]


def _told(counted: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counted.items()))


async def main() -> int:
    """Run and print."""
    with tempfile.TemporaryDirectory() as place:
        async with Estate(Path(place), str(envoy.install(PLACE))) as estate:
            cells, told = await every_cell(estate)
            billed, in_flight = await estate.billed(), await estate.in_flight()
    print("\n".join(line.rstrip() for line in lines(cells)))
    print(
        f"\n{len(cells)} cells; clients were told {told} nano-dollars, the ledger holds {billed}; {in_flight} in flight\n"
    )
    return 0 if told == billed and not in_flight and not any(cell.wrong for cell in cells) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
