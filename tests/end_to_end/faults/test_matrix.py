"""Everything that can go wrong with one backend, against the shipped gateway: answered by another, or told in words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.chaos import envoy
from tests.end_to_end.faults.estate import DATA_CLASS, FORBIDDEN, KINDS, SANDBOX, Estate
from tests.end_to_end.faults.hearing import DIALECTS, ask
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
    cut answer passes for a whole one, nobody is left in flight, what clients were told is what the ledger holds, and
    nobody so much as connects to a backend that stands ready on every route and does not allow what is asked."""
    cells, told = await every_cell(estate)
    assert [each.connections for each in estate.forbidden] == [0, 0], (
        "whom a question may not be shown was connected to"
    )
    wrong = [f"{each.fault}, {each.kind}, {each.dialect}: {each.wrong}" for each in cells if each.wrong]
    assert not wrong, "\n".join(wrong)
    assert len(cells) == (len(EARLY) + len(LATE) + len(SANDBOX) + 2 + 6) * len(KINDS) * len(DIALECTS)
    assert await estate.in_flight() == 0
    assert told == await estate.billed()
    await asked_of_the_forbidden(estate)


async def asked_of_the_forbidden(estate: Estate) -> None:
    """They would have answered: questions about nobody go to them, and by name those about patients are refused."""
    for name in FORBIDDEN:
        assert (await ask(estate.pool, "chat, whole", name)).status == 200
        refused = await ask(estate.pool, "chat, whole", name, DATA_CLASS)
        assert (refused.status, "does not name the data class patients" in (refused.error or "")) == (503, True)
    assert [each.connections for each in estate.forbidden] == [1, 1]
