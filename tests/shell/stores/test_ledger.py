"""Every attempt is recorded, once, whole, privately."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from equipoise.core.events import AttemptEnded, BackendChanged
from equipoise.core.model import Candidate, Verdict
from equipoise.core.policies.specified import reports
from equipoise.stores import Ledger, StoreError
from equipoise.stores.rows import CANDIDATE_FIELDS
from tests.shell.stores.attempts import DECISION, attempt
from tests.shell.stores.conftest import Engine

NOW = 1_800_000_100.0
DAY = 86_400.0


@pytest.fixture
def ledger(engine: Engine) -> Iterator[Ledger]:
    ledger = Ledger(engine.ledger, batch_seconds=0.01, wall=lambda: NOW)
    yield ledger
    ledger.close()


async def test_a_story_tells_every_attempt_in_order_with_its_grounds(ledger: Ledger) -> None:
    """What was recorded comes back: decision, scores, probabilities, candidates, features, tags and exact cost."""
    ledger.record(attempt(number=2, cost=1, backend_id="graph"))
    ledger.record(attempt(number=1, error="boom", verdict=Verdict.FAILURE))
    story = await ledger.story("req-1")
    assert story is not None
    assert [row["number"] for row in story] == [1, 2]
    first = story[0]
    assert first["decision"] == json.loads(msgspec.json.encode(DECISION)) | {"scores": reports(DECISION.candidates)}
    assert first["features"] == {"length": 0.5, "year": 1.0}
    assert first["tags"] == ["team:bio", 'odd "tag"']
    assert (first["verdict"], first["error"], first["stream"]) == ("failure", "boom", True)
    assert [row["cost_usd"] for row in story] == ["0.006100000", "0.000000001"]
    assert await ledger.story("nobody") is None


async def test_a_story_has_the_scores_of_the_specification_for_every_candidate(ledger: Ledger) -> None:
    """Under its names; a number that was none when it was written leaves the rest of the story as it is."""
    ledger.record(attempt("known"))
    strange = msgspec.structs.replace(DECISION.candidates[0], response_time=float("nan"))
    ledger.record(attempt("strange", decision=msgspec.structs.replace(DECISION, candidates=(strange,))))
    known, unknown = await ledger.story("known"), await ledger.story("strange")
    assert known is not None
    assert unknown is not None
    names = {"health_score", "quality_score", "cost_efficiency"}
    told = known[0]["decision"]["scores"]
    assert {name: set(numbers) for name, numbers in told.items()} == {"web": names, "graph": names}
    assert unknown[0]["decision"]["scores"] == {}


async def test_observed_events_other_than_attempts_are_not_recorded(ledger: Ledger) -> None:
    """The ledger listens to everything and keeps attempts."""
    ledger.observe(BackendChanged("web", "open", "failures", 0.0))
    ledger.observe(AttemptEnded(attempt()))
    assert [row["attempts"] for row in await ledger.summary()] == [1]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(costs=st.lists(st.integers(0, 10**14), min_size=1, max_size=150))
async def test_the_total_is_exact_to_the_nano_dollar(
    costs: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Integers in, the same sum out, whatever the batch size; backends and tenants add up to the whole."""
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "l.db", batch_seconds=0.001, wall=lambda: NOW)
    for index, cost in enumerate(costs):
        ledger.record(attempt(f"r{index}", cost=cost, tenant=f"t{index % 2}", backend_id=f"b{index % 3}"))
    assert await ledger.total_cost() == sum(costs)
    assert sum([await ledger.total_cost(tenant=tenant) for tenant in ("t0", "t1")]) == sum(costs)
    assert await ledger.total_cost(backend_id="b1") == sum(costs[1::3])
    assert sum(row["cost"] for row in await ledger.summary()) == sum(costs)
    ledger.close()


async def test_the_same_attempt_is_stored_once(ledger: Ledger) -> None:
    """A write repeated after a commit that seemed to fail changes nothing."""
    for _ in range(3):
        ledger.record(attempt())
        await ledger.flush()
    assert await ledger.total_cost() == 6_100_000
    assert [row["attempts"] for row in await ledger.summary()] == [1]


async def test_a_request_id_used_twice_loses_no_money(ledger: Ledger) -> None:
    """Clients may choose their ids; a second request with the same id is kept under the next number, once."""
    again = attempt(wall=1_800_000_050.0, cost=7)
    for each in (attempt(), again, again):
        ledger.record(each)
        await ledger.flush()
    story = await ledger.story("req-1")
    assert story is not None
    assert [(row["number"], row["cost"]) for row in story] == [(1, 6_100_000), (2, 7)]


async def test_one_value_that_cannot_be_stored_spoils_no_batch(engine: Engine) -> None:
    """The others are written; the bad ones are counted with their cost, told, and noted as a gap."""
    told: list[str] = []
    ledger = Ledger(engine.ledger, batch_seconds=0.01, wall=lambda: NOW, on_error=told.append)
    bad = [attempt("too-much", cost=2**63), attempt("surrogate", model="\ud800", cost=5)]
    for each in (attempt("a"), *bad, attempt("b")):
        ledger.record(each)
    await ledger.flush()
    assert {row["attempts"] for row in await ledger.summary()} == {2}
    ledger.record(attempt("c"))
    await ledger.flush()
    health = ledger.health()
    assert (health.dropped, health.dropped_cost) == (2, 2**63 + 5)
    assert sum(row["attempts"] for row in await ledger.summary()) == 3
    assert len(told) == 2
    ledger.close()


async def test_a_full_disk_keeps_counts_and_recovers(tmp_path: Path) -> None:
    """Held in memory up to the capacity, then dropped and counted; when the disk is back all held is written."""
    told = threading.Event()
    ledger = Ledger(
        tmp_path / "l.db", batch_seconds=0.001, capacity=10, wall=lambda: NOW, on_error=lambda _: told.set()
    )
    ledger._books._connection.execute("PRAGMA max_page_count = 1")
    for index in range(10):
        ledger.record(attempt(f"r{index}", model="x" * 5000, cost=1))
    assert await asyncio.to_thread(told.wait, 10)
    while ledger.health().pending < 10:
        ledger.record(attempt(f"late{ledger.health().pending}", cost=1))
    ledger.record(attempt("lost", cost=100))
    health = ledger.health()
    assert (health.ok, health.dropped, health.dropped_cost) == (False, 1, 100)
    assert "full" in str(health.error)
    with pytest.raises(StoreError):
        await ledger.flush()
    ledger._books._connection.execute("PRAGMA max_page_count = 100000")
    while not ledger.health().ok:
        await asyncio.sleep(0.01)
    assert await ledger.total_cost() == 10
    while not (noted := await ledger.gaps()):
        await asyncio.sleep(0.01)
    assert [(gap["attempts"], gap["cost"]) for gap in noted] == [(1, 100)]
    ledger.close()


async def test_what_comes_after_closing_is_counted_as_dropped(engine: Engine) -> None:
    """Never an exception on the request path; the count says what happened. Closing twice is harmless."""
    ledger = Ledger(engine.ledger)
    ledger.record(attempt())
    ledger.close()
    ledger.close()
    ledger.record(attempt("late"))
    assert (ledger.health().ok, ledger.health().dropped) == (False, 1)
    assert await ledger.total_cost() == 6_100_000


async def test_a_caller_that_gives_up_a_flush_harms_nobody(ledger: Ledger) -> None:
    """Cancelling a waiting flush leaves the writer at work."""
    ledger.record(attempt())
    waiting = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    waiting.cancel()
    ledger.record(attempt("next"))
    await ledger.flush()
    assert ledger.health().written == 2


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    """The folder we make is 0700, the database and its companions 0600."""
    with closing(Ledger(tmp_path / "state" / "ledger.db")):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "state").iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"ledger.db", "ledger.db-wal"} <= set(modes)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


async def test_secrets_in_an_upstreams_error_are_masked_and_long_errors_cut(ledger: Ledger) -> None:
    """An upstream may echo the key it refused, or answer with a page of HTML."""
    ledger.record(attempt(error="Incorrect API key provided: pplx-0123456789abcdef " + "x" * 5000))
    story = await ledger.story("req-1")
    assert story is not None
    assert "0123456789abcdef" not in story[0]["error"]
    assert len(story[0]["error"]) <= 500


async def test_retention_bounds_the_rows_and_keeps_the_bill_whole(engine: Engine) -> None:
    """Too old or too many go; their money stays in the total, by day."""
    ledger = Ledger(engine.ledger, batch_seconds=0.01, wall=lambda: NOW, max_rows=5, max_age=10 * DAY)
    for index in range(4):
        ledger.record(attempt(f"old{index}", cost=10, wall=NOW - 20 * DAY + index))
    for index in range(8):
        ledger.record(attempt(f"new{index}", cost=1, wall=NOW - 10 + index))
    await ledger.flush()
    while ledger.health().retired < 7:
        await asyncio.sleep(0.01)
    kept = await ledger.summary()
    assert [row["attempts"] for row in kept] == [5]
    assert await ledger.story("old0") is None
    assert await ledger.total_cost() == 48
    assert await ledger.total_cost(since=NOW - 15 * DAY) == 8
    ledger.close()


async def test_percentiles_are_by_rank(ledger: Ledger) -> None:
    """Of 1..100 ms the median is 50 and the 95th percentile 95."""
    for index in range(100):
        ledger.record(attempt(f"r{index}", duration=(index + 1) / 1000))
    row = (await ledger.summary())[0]
    assert (row["p50_latency"], row["p95_latency"], row["successes"]) == (0.05, 0.095, 100)


def test_a_file_that_is_no_database_is_an_error_at_the_start(tmp_path: Path) -> None:
    """The operator learns it before the first question, not after the last."""
    path = tmp_path / "l.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="cannot open"):
        Ledger(path)


async def test_two_processes_may_share_one_ledger(engine: Engine) -> None:
    """Two writers on one file: both kept whole, nothing lost to a lock."""
    one, two = (Ledger(engine.ledger, batch_seconds=0.001) for _ in range(2))
    for index in range(300):
        one.record(attempt(f"one{index}", cost=1))
        two.record(attempt(f"two{index}", cost=1))
    await one.flush()
    await two.flush()
    assert await one.total_cost() == 600
    one.close()
    two.close()


async def test_the_question_has_no_column(ledger: Ledger) -> None:
    """Only its hash and its length are kept."""
    columns = await ledger.query(lambda connection: connection.types("attempts"))
    assert {name for name in columns if "question" in name} == {"question_hash", "question_tokens"}
    assert (columns["cost"], columns["wall"], columns["decision"]) == ("INTEGER", "REAL", "BLOB")


def test_the_stored_numbers_of_a_candidate_still_have_their_names() -> None:
    """Candidates are stored without names: whoever changes Candidate adds a version that names the fields."""
    assert CANDIDATE_FIELDS[max(CANDIDATE_FIELDS)] == Candidate.__struct_fields__


async def test_what_a_graph_asked_for_a_question_is_told_with_it(ledger: Ledger) -> None:
    """Its own attempts first; the inner ones name their parent and are records of their own."""
    ledger.record(attempt("inner-1", parent="req-1", cost=5))
    ledger.record(attempt("req-1", cost=0))
    story = await ledger.story("req-1")
    assert story is not None
    assert [(row["request_id"], row["parent"]) for row in story] == [("req-1", None), ("inner-1", "req-1")]
    assert await ledger.total_cost() == 5
