"""Everything that can go wrong with one backend, against the shipped gateway: answered by another, or told in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.chaos import envoy
from tests.end_to_end.faults.estate import KINDS, SANDBOX, Estate
from tests.end_to_end.faults.hearing import DIALECTS
from tests.end_to_end.faults.judging import every_cell
from tests.end_to_end.faults.sick import EARLY, LATE
from tests.end_to_end.install import PLACE


@pytest.fixture
async def estate(tmp_path: Path) -> AsyncIterator[Estate]:
    program = envoy.installed(PLACE / "envoy")
    if program is None:
        pytest.skip("Envoy is not installed: python -m tests.end_to_end.install")
    async with Estate(tmp_path, str(program)) as found:
        yield found


async def test_every_fault_ends_in_an_answer_or_in_an_explicit_error(estate: Estate) -> None:
    """Faults x kinds of backend x whole and streamed, in three dialects: nothing is lost, nothing is spliced, no
    cut answer passes for a whole one, nobody is left in flight, and what clients were told is what the ledger holds."""
    cells, told = await every_cell(estate)
    wrong = [f"{each.fault}, {each.kind}, {each.dialect}: {each.wrong}" for each in cells if each.wrong]
    assert not wrong, "\n".join(wrong)
    assert len(cells) == (len(EARLY) + len(LATE) + len(SANDBOX) + 2 + 6) * len(KINDS) * len(DIALECTS)
    assert await estate.in_flight() == 0
    assert told == await estate.billed()
