"""`make bench-routing` on data in its documented form, where what is to be found is known."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from bench.routing.features import describer
from bench.routing.others import t8
from bench.routing.setting import Setting
from bench.routing.targets import t3

EASY, HARD = "Who wrote the book about day {}?", "Explain why 3 * x**2 + {} = 0; def solve(x): return x"


def written(folder: Path, name: str, *, hard_for_weak: bool) -> None:
    """600 questions; the weak model fails the hard ones, or a random half."""
    chance = random.Random(4)
    (folder / name).mkdir()
    lines = []
    for number in range(600):
        hard = bool(chance.getrandbits(1))
        right = float(not hard) if hard_for_weak else float(chance.getrandbits(1))
        arms = {"strong": {"reward": 1.0, "cost": 0.01}, "weak": {"reward": right, "cost": 0.001}}
        lines.append(json.dumps({"prompt": (HARD if hard else EASY).format(number), "arms": arms, "task": ""}))
    (folder / name / "table.jsonl").write_text("\n".join(lines))


def setting(folder: Path) -> Setting:
    return Setting(folder, describer(embedding=False)[0], shuffles=2, peer=False, quick=True)


@pytest.mark.parametrize(("hard_for_weak", "low", "high"), [(True, 0.7, 0.8), (False, 0.35, 0.65)])
def test_the_gap_that_is_recovered_is_the_one_there_is(
    tmp_path: Path, hard_for_weak: bool, low: float, high: float
) -> None:
    """T8: three quarters where questions tell (all that can be had), half, as by chance, where they do not."""
    written(tmp_path, "routellm-mmlu", hard_for_weak=hard_for_weak)
    told, absent = t8(setting(tmp_path))
    assert absent.holds is None
    recovered = float(told.measured.split()[1])
    assert low < recovered < high


def test_a_budget_for_half_of_the_calls_is_enough_where_half_are_hard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """T3: three quarters of the strong model's cost buy all of its quality."""
    written(tmp_path, "routerbench", hard_for_weak=True)
    found = t3(setting(tmp_path))
    at_half = next(one for one in found if one.measured.startswith("50%"))
    assert float(at_half.measured.split()[1].rstrip(",")) > 0.9
    assert "ceiling" in capsys.readouterr().out
