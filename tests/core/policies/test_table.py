"""A strategy is one file, one enum line, one table line and one paragraph; this fails until all four exist."""

from pathlib import Path
from random import Random

import pytest

from equipoise.core import policies
from equipoise.core.model import Strategy
from equipoise.core.policies import STRATEGIES, Configured, make_policy

FILES = {path.stem for path in Path(policies.__file__).parent.glob("*.py")}
SHARED = {"__init__", "comparing", "configured", "exploring", "specified", "thompson", "guard", "newcomers"}
PAGE = Path(__file__).parents[3] / "docs" / "strategies.md"


def test_table_and_enum_name_the_same_strategies() -> None:
    """What a configuration may name can be made, and nothing else can."""
    assert set(STRATEGIES) == {strategy.value for strategy in Strategy}


def test_each_strategy_has_its_file() -> None:
    """One file a strategy, named like it, and no file that is neither a strategy nor known to be shared."""
    assert set(STRATEGIES) == FILES - SHARED
    assert {maker.__module__.rpartition(".")[2] for maker in STRATEGIES.values()} == set(STRATEGIES)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_each_strategy_and_each_of_its_options_has_a_paragraph(name: str) -> None:
    """The page explains it under a heading of its own and names every option with its default."""
    page = PAGE.read_text(encoding="utf-8")
    assert f"\n### {name}\n" in page
    paragraph = page.split(f"\n### {name}\n")[1].split("\n### ")[0].split("\n## ")[0]
    maker = STRATEGIES[name]
    assert isinstance(maker, type)
    assert issubclass(maker, Configured)
    assert len(paragraph.split()) >= 40
    for option, default in maker.defaults.items():
        assert f"`{option}` ({default:g}" in paragraph


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    """A typing error costs no search."""
    with pytest.raises(ValueError, match=r"unknown strategy 'cheapest'.*cost_optimized"):
        make_policy("cheapest", chance=Random(1))


def test_an_option_that_nothing_reads_is_refused() -> None:
    """No option is silently ignored; the error names those that exist."""
    with pytest.raises(ValueError, match=r"unknown option pricee .*budget_per_request_usd.*price"):
        make_policy("adaptive_learning", chance=Random(1), options={"pricee": 1.0})


@pytest.mark.parametrize(
    ("name", "option", "number"),
    [
        ("weighted_round_robin", "max_fails", 0.0),
        ("adaptive_learning", "slo_seconds", 0.0),
        ("adaptive_learning", "price", -1.0),
        ("quality_based", "tolerance", float("nan")),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(name: str, option: str, number: float) -> None:
    """Better when the configuration is read than at the first request."""
    with pytest.raises(ValueError, match=f"{option} cannot be"):
        make_policy(name, chance=Random(1), options={option: number})
