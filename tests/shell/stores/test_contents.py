"""Words that are kept: by each tenant's terms, for as long as it says, and gone when they are to be."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from equipoise.core.events import AttemptEnded
from equipoise.stores.contents import LONGEST, Contents, Kept, Terms, kept_of
from equipoise.stores.ledger import Ledger
from equipoise.stores.purging import Purged, purge
from equipoise.stores.sqlite import StoreError
from tests.shell.stores.attempts import attempt
from tests.shell.stores.conftest import Engine

TERMS = {"open": Terms("full"), "masked": Terms("redacted"), "brief": Terms("full", 60.0)}


def contents(folder: Path, **options: Any) -> Contents:
    return Contents(folder / "content.sqlite3", TERMS, batch_seconds=0.01, **options)


def kept(tenant: str, request_id: str = "r-1", wall: float = 4e9, **more: Any) -> Kept:
    return Kept(request_id=request_id, tenant=tenant, wall=wall, question="Why the plum?", answer="A plum.", **more)


async def test_nobodys_words_are_kept_but_those_of_tenants_that_are_named(tmp_path: Path) -> None:
    """A tenant without a word has none kept, whatever others have."""
    it = contents(tmp_path)
    for tenant in ("open", "masked", "brief", "default", "stranger"):
        it.keep(kept(tenant))
    await it.flush()
    it.close()
    found = {tenant: len(kept_of(it.path, tenant)) for tenant in ("open", "masked", "brief", "default", "stranger")}
    assert found == {"open": 1, "masked": 1, "brief": 1, "default": 0, "stranger": 0}
    assert it.path.stat().st_mode & 0o777 == 0o600


async def test_what_is_kept_is_bounded_and_says_what_became_of_the_question(tmp_path: Path) -> None:
    """Long texts are cut; a question without an answer has the code of its error."""
    it = contents(tmp_path)
    it.keep(Kept(request_id="r", tenant="open", wall=4e9, question="x" * (LONGEST + 1), error_code="no_answer"))
    await it.flush()
    it.close()
    (row,) = kept_of(it.path, "open")
    assert (len(row["question"]), row["answer"], row["error_code"], row["mode"]) == (LONGEST, None, "no_answer", "full")


@pytest.mark.parametrize("wrong", [lambda text: 1 / 0, lambda text: None])
async def test_what_cannot_be_redacted_is_not_kept(
    tmp_path: Path, wrong: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, told once, and not in the words of the error; other tenants' words are kept."""
    it = contents(tmp_path, redact=wrong)
    with caplog.at_level(logging.WARNING):
        it.keep(kept("masked"))
        it.keep(kept("open"))
        await it.flush()
    it.close()
    assert (it.unredacted, kept_of(it.path, "masked"), len(kept_of(it.path, "open"))) == (1, [], 1)
    assert [record.getMessage() for record in caplog.records] == ["words could not be redacted and are not kept"]


async def test_citations_are_redacted_too(tmp_path: Path) -> None:
    """Every text in them."""
    it = contents(tmp_path, redact=lambda text: text.replace("plum", "[fruit]"))
    it.keep(kept("masked", citations=({"index": 1, "title": "On plums", "snippet": "plum"},)))
    await it.flush()
    it.close()
    (row,) = kept_of(it.path, "masked")
    assert (row["question"], row["answer"]) == ("Why the [fruit]?", "A [fruit].")
    assert row["citations"] == [{"index": 1, "title": "On [fruit]s", "snippet": "[fruit]"}]


async def test_words_end_with_their_time(tmp_path: Path) -> None:
    """Each tenant's own; they are taken out of the file, not only out of sight."""
    now = [4e9]
    it = contents(tmp_path, wall=lambda: now[0])
    it.keep(kept("open"))
    it.keep(kept("brief", "r-2"))
    await it.flush()
    now[0] += 700.0
    it.keep(kept("open", "r-3"))
    await it.flush()
    it.close()
    assert b"r-2" not in it.path.read_bytes()
    assert len(kept_of(it.path, "open")) == 2


async def test_a_purge_takes_one_tenants_words_until_a_moment(tmp_path: Path) -> None:
    """Those of others, and later ones, stay; what a gateway still holds of before does not come after it."""
    it = contents(tmp_path)
    for tenant, request_id, wall in (("open", "r-1", 4e9), ("open", "r-2", 4e9 + 10), ("brief", "r-3", 4e9)):
        it.keep(kept(tenant, request_id, wall))
    await it.flush()
    assert purge(None, it.path, "open", 4e9 + 5, dry_run=True) == Purged(words=1)
    assert purge(None, it.path, "open", 4e9 + 5) == Purged(words=1)
    it.keep(kept("open", "r-late", 4e9 + 1))
    it.keep(kept("open", "r-new", 4e9 + 11))
    await it.flush()
    it.close()
    assert [row["request_id"] for row in kept_of(it.path, "open")] == ["r-new", "r-2"]
    assert len(kept_of(it.path, "brief")) == 1


async def test_of_the_ledger_a_purge_leaves_the_bill(tmp_path: Path) -> None:
    """What tells of a question goes, byte for byte; tokens, costs and times stay, and so does what is another's."""
    with closing(Ledger(tmp_path / "ledger.sqlite3")) as ledger:
        for number, tenant in ((1, "open"), (2, "brief")):
            told = attempt(f"req-{number}", tenant=tenant, session=f"session-{number}", question_hash=f"hash-{number}")
            ledger.observe(AttemptEnded(told))
        await ledger.flush()
        before = await ledger.total_cost()
        assert purge(ledger.database.path, tmp_path / "none", "open", 4e9) == Purged(forgotten=1)
        assert purge(ledger.database.path, tmp_path / "none", "open", 4e9) == Purged(forgotten=0)
        assert await ledger.total_cost() == before
        written = ledger.database.path.read_bytes()
        assert (b"hash-1" in written, b"session-1" in written) == (False, False)
        assert (b"hash-2" in written, b"session-2" in written) == (True, True)
        assert purge(ledger.database.path, tmp_path / "none", "open", 4e9, books=True) == Purged(removed=1)
        assert await ledger.total_cost() == before // 2


async def test_a_purge_is_the_same_wherever_the_ledger_is(engine: Engine, tmp_path: Path) -> None:
    """Looked at first, then done, then with the books; another tenant's records stay as they are."""
    with closing(Ledger(engine.ledger)) as ledger:
        for number, tenant in enumerate(("open", "open", "brief")):
            ledger.record(attempt(f"req-{number}", tenant=tenant, session=f"session-{number}", cost=1))
        await ledger.flush()
        for dry_run, books, found in (
            (True, False, Purged(forgotten=2)),
            (False, False, Purged(forgotten=2)),
            (True, True, Purged(removed=2)),
            (False, True, Purged(removed=2)),
            (False, True, Purged()),
        ):
            assert purge(engine.ledger, tmp_path / "none", "open", 4e9, books=books, dry_run=dry_run) == found
        assert await ledger.total_cost() == 1
        (row,) = await ledger.story("req-2") or []
        assert row["session"] == "session-2"


def test_a_purge_without_anything_to_purge_is_none(tmp_path: Path) -> None:
    """No file is made for it."""
    assert purge(tmp_path / "ledger.sqlite3", tmp_path / "content.sqlite3", "open", 4e9) == Purged()
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_is_said_to_be_none(tmp_path: Path) -> None:
    """Rather than that nothing is kept."""
    place = tmp_path / "content.sqlite3"
    place.write_bytes(b"not a database at all, and long enough to be looked at" * 50)
    with pytest.raises(StoreError):
        kept_of(place, "open")
    with pytest.raises(StoreError):
        purge(None, place, "open", 4e9)
