"""The saving is what the same questions would have cost elsewhere, less what was spent: by hand, and in general."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equipoise.cli import main
from equipoise.core.model import Usage, Verdict
from equipoise.core.pricing import Price, cost_of
from equipoise.stores.insertion import insert
from equipoise.stores.reports import Wanted
from equipoise.stores.rows import row_of
from equipoise.stores.savings import BY, Alternative, report
from equipoise.stores.sqlite import SqliteConnection, migrate, migrations
from tests.shell.stores.attempts import attempt

CHEAP = Price(input=10**9, output=10**9)
DEAR = Price(input=10 * 10**9, output=30 * 10**9, per_request=5_000_000)
ALTERNATIVES = {"cheap": Alternative(price=CHEAP), "dear": Alternative(price=DEAR), "odd": Alternative(price=None)}


def ledger_of(*attempts: Any) -> SqliteConnection:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=SqliteConnection)
    connection.row_factory = sqlite3.Row
    migrate(connection, migrations())
    insert(connection, list(map(row_of, attempts)), lambda *what: pytest.fail(str(what)), ())
    return connection


def answer(name: str, backend: str, question: int, output: int, cost: int, **more: Any) -> Any:
    made = attempt(name, cost=cost, backend_id=backend, question_tokens=question, **more)
    usage = Usage(input_tokens=question, output_tokens=output)
    return msgspec.structs.replace(made, outcome=msgspec.structs.replace(made.outcome, usage=usage))


def told(connection: sqlite3.Connection, *by: str, default: str = "dear") -> dict[str, Any]:
    with closing(connection):
        return report(connection, Wanted(), ALTERNATIVES, default, by)


def test_two_answers_reckoned_by_hand() -> None:
    """1,000 in and 100 out at $1/$1 cost $0.0011; at $10/$30 and half a cent they would have cost $0.018."""
    spent = 1_100_000
    rows = told(ledger_of(*(answer(f"r{n}", "cheap", 1000, 100, spent) for n in range(2))))
    assert rows["dearest"] == "dear"
    assert rows["unknown"] == ["odd"]
    total = rows["total"]
    assert (total["answers"], total["spent_usd"]) == (2, "0.002200000")
    assert total["all_to_dearest_usd"] == total["all_to_default_usd"] == "0.036000000"
    assert total["saved_against_dearest_usd"] == "0.033800000"
    assert total["saved_against_dearest_percent"] == 93.89


def test_failures_are_spent_and_never_saved() -> None:
    """A failover's first attempt, a judge, a cut stream: in what was spent, in no alternative."""
    good = answer("r", "cheap", 1000, 100, 1_100_000)
    bad = answer("r", "dear", 1000, 100, 7_000_000, number=2, verdict=Verdict.FAILURE)
    total = told(ledger_of(good, bad), default="cheap")["total"]
    assert (total["answers"], total["spent_usd"]) == (1, "0.008100000")
    assert total["saved_against_default_usd"] == "-0.007000000"


def test_an_estimate_is_set_right_by_what_a_backend_did_cost() -> None:
    """Its own answers cost twice what its price says, so others' are reckoned twice too; without a price, their mean."""
    mine = answer("a", "dear", 1000, 100, 36_000_000)
    other = answer("b", "cheap", 1000, 100, 1_100_000)
    odd = answer("c", "odd", 10, 100, 500_000_000)
    found = told(ledger_of(mine, other, odd))
    assert found["unknown"] == []
    assert found["dearest"] == "odd"
    assert found["total"]["all_to_dearest_usd"] == "1.500000000"
    row = told(ledger_of(mine, other), default="dear")["total"]
    assert row["all_to_default_usd"] == "0.072000000"


def test_a_graphs_own_questions_are_spent_for_its_answer() -> None:
    """By backend they stand with the graph; in all they count once."""
    own = answer("q", "odd", 20, 100, 0)
    own = msgspec.structs.replace(own, outcome=msgspec.structs.replace(own.outcome, inner_cost=900, inner_calls=1))
    inner = answer("i", "cheap", 700, 100, 900, parent="q")
    found = told(ledger_of(own, inner), "backend", default="odd")
    assert [(row["backend"], row["answers"], row["spent_usd"]) for row in found["rows"]] == [("odd", 1, "0.000000900")]
    assert found["total"]["spent_usd"] == found["total"]["all_to_default_usd"] == "0.000000900"


answers = st.lists(
    st.tuples(st.sampled_from(["cheap", "dear"]), st.integers(1, 5000), st.integers(1, 2000), st.integers(0, 2)),
    min_size=1,
    max_size=30,
)


@given(answers, st.sampled_from(BY))
@settings(max_examples=60, deadline=None)
def test_groups_add_up_and_the_dearest_is_the_dearest(made: list[tuple[str, int, int, int]], by: str) -> None:
    """Each group's spending sums to the total; where everything went to one backend nothing is saved against it."""
    prices = {"cheap": CHEAP, "dear": DEAR}
    rows = [
        answer(f"r{n}", name, question, output, cost_of(prices[name], Usage(question, output)),
               wall=day * 86_400.0, tenant=f"t{day}", tags=("x",))
        for n, (name, question, output, day) in enumerate(made)
    ]  # fmt: skip
    found = told(ledger_of(*rows), by)
    nano = [round(float(row["spent_usd"]) * 1e9) for row in found["rows"]]
    assert sum(nano) == sum(row.outcome.cost for row in rows)
    assert sum(row["answers"] for row in found["rows"]) == len(rows)
    assert found["dearest"] == "dear"
    if {name for name, *_ in made} == {"dear"}:
        assert found["total"]["saved_against_dearest_usd"] == "0.000000000"
    assert not found["total"]["saved_against_dearest_usd"].startswith("-")


def test_the_command_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with its total, a document with everything."""
    from equipoise.stores import Ledger

    ledger = Ledger(tmp_path / "ledger.sqlite3", batch_seconds=0.001, wall=lambda: 1_800_000_000.0)
    ledger.record(answer("r", "chat", 1000, 100, 210_000))
    ledger.close()
    file = tmp_path / "equipoise.yaml"
    file.write_text(
        "backend_instances:\n  chat: {backend_type: openai_direct, model: gpt-4o-mini}\n"
        "  web: {backend_type: perplexity}\n"
        f"ledger: {{path: {tmp_path / 'ledger.sqlite3'}, default_backend: chat}}\n"
    )
    common = ["ledger", "report", "-c", str(file), "--since", "2027-01-01"]
    assert main([*common, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["dearest"], found["default"], found["total"]["all_to_default_usd"]) == ("web", "chat", "0.000210000")
    assert found["total"]["all_to_dearest_usd"] == "0.005500000"
    assert main(common) == 0
    assert "all to web" in capsys.readouterr().out
    assert main([*common, "--by", "colour"]) == 2
    assert main([*common, "--default", "nobody"]) == 2
