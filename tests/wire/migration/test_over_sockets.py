"""A move as its clients and its operators see it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from equipoise.core.rollout import candidate_takes
from equipoise.stores.state import Entry, StateStore
from tests.wire.migration.conftest import Street

PATIENCE = 5.0


async def test_the_old_endpoint_gets_the_question_and_its_words_come_back(street: Street) -> None:
    """In its own field, beside its own fields; the answer leaves in OpenAI's form, with its side in a header."""
    status, side, body = await street.ask()
    assert (status, side) == (200, "control")
    assert json.loads(body)["choices"][0]["message"]["content"].startswith("the old words")
    (seen,) = street.old.seen
    assert (seen.method, seen.path) == ("POST", "/ask")
    assert json.loads(seen.body) == {"query": "What is a metabolite?", "app": "lab"}


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"plain words", 200),
        (b'{"choices": [{"message": {"content": "nested"}}]}', 200),
        (b'{"success": false, "error": "boom"}', 502),
        (b'{"routing_decision": "lightrag"}', 502),
        (b"\xff\xfe", 502),
        (b'""', 502),
    ],
)
async def test_whatever_the_old_endpoint_replies_is_an_answer_or_an_error(
    street: Street, reply: bytes, status: int
) -> None:
    """Never an empty answer; an error too says which side it was."""
    street.old.reply = reply
    assert (await street.ask())[:2] == (status, "control")


async def test_an_operator_leads_a_move_over_the_admin_listener(street: Street) -> None:
    """Phase by phase, each with checks that looked at real sockets; the split follows each order at once."""
    for phase, percentage in ((1, 0), (2, 10), (3, 25)):
        status, told = await street.order("/apply", {"phase": phase, "who": "ann", "why": "plan"})
        assert (status, told["outcome"]) == (200, "applied"), told
        looked = {check["name"]: check["state"] for check in told["checks"]}
        assert looked["connectivity: new_llm"] == looked["health endpoint: incumbent"] == looked["state"] == "ok"
        assert looked["configuration"] == looked["ledger"] == "ok"
        sides = [(await street.ask(f"s{number}"))[1] for number in range(250)]
        assert sides.count("candidate") == sum(candidate_takes(f"session s{n}", percentage) for n in range(250))
    status, told = await street.order("", None)
    assert (told["phase"], told["features"]) == (
        3,
        ["real_time_monitoring", "cost_optimization", "quality_based_routing"],
    )
    assert told["evidence"]["candidate"]["requests"] > 20
    status, told = await street.order("/rollback", {"phase": 1, "who": "ben", "why": "slow"})
    assert (told["outcome"], (await street.ask("s1"))[1]) == ("rolled_back", "control")


async def test_the_story_of_a_request_names_its_side(street: Street) -> None:
    """The ledger's records carry the role."""
    await street.order("/apply", {"percentage": 100, "force": True})
    response = await street.public.request(
        "POST",
        "/v1/chat/completions",
        headers=[(b"x-request-id", b"r-9")],
        body=json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Why?"}]}).encode(),
    )
    await response.read()
    story = await street.public.request("GET", "/v1/requests/r-9")
    assert [row["role"] for row in json.loads(await story.read())["attempts"]] == ["candidate"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/apply", {"phase": 9}),
        ("/apply", {}),
        ("/apply", {"phase": 1, "percentage": 5}),
        ("/apply", {"phase": 1, "fast": True}),
        ("/apply", {"percentage": "all"}),
        ("/apply", b"{"),
        ("/apply", b"\xff"),
        ("/rollback", {}),
        ("/rollback", {"phase": -1}),
        ("/validate", {"phase": 0}),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_in_words(street: Street, path: str, body: object) -> None:
    """400, and nothing has changed."""
    status, told = await street.order(path, body)  # type: ignore[arg-type]
    assert (status, told["error"]["code"]) == (400, "invalid_request_error")
    assert street.migration.state.era == 0


async def test_commands_are_posts_of_friends(street: Street) -> None:
    """A GET commands nothing, and a page of another origin may not post."""
    response = await street.admin.request("GET", "/admin/migration/apply")
    await response.read()
    assert (response.status, response.headers[b"allow"]) == (405, b"POST")
    foreign = await street.admin.request(
        "POST", "/admin/migration/rollback", headers=[(b"origin", b"https://evil.example")], body=b'{"phase": 0}'
    )
    await foreign.read()
    assert foreign.status == 403


async def test_a_side_that_is_down_is_found_before_the_phase_begins(street: Street) -> None:
    """Connection and probe fail by name; so does a configuration file that is no longer good."""
    await street.new.stop()
    street.file.write_text("backend_instances: [")
    status, told = await street.order("/apply", {"phase": 1})
    failed = {check["name"] for check in told["checks"] if check["state"] == "failed"}
    assert (status, told["outcome"]) == (200, "check_failed")
    assert failed == {"connectivity: new_llm", "health endpoint: new_llm", "configuration"}
    await street.new.start()


async def test_a_change_by_another_process_is_followed(street: Street) -> None:
    """Written into the store as a command beside the gateway would; noticed without a question having waited for it."""
    other = StateStore(street.folder / "state" / "state.sqlite3")
    state = {"phase": 5, "percentage": 100.0, "since": 1.0, "era": 1, "features": [], "history": []}
    other.write("migration", state, 0, Entry(what="moved elsewhere", who="ann", why="drill"))
    other.close()
    async with asyncio.timeout(PATIENCE):
        while (await street.ask())[1] != "candidate":
            await asyncio.sleep(0.05)
    assert street.migration.state.phase == 5


async def test_validation_by_hand_and_checks_by_hand(street: Street) -> None:
    """Both are there for a deployment that wants to look first."""
    status, told = await street.order("/checks", {})
    assert (status, {check["state"] for check in told["checks"]}) == (200, {"ok"})
    status, told = await street.order("/validate", {"phase": 1})
    assert [row["answered"] for row in told["validation"]] == [True] * 3


async def test_streams_of_the_old_side_come_in_one_piece(street: Street) -> None:
    """A client that streams notices nothing but that."""
    status, side, body = await street.ask(stream=True)
    assert (status, side) == (200, "control")
    assert b"the old words" in body
    assert body.rstrip().endswith(b"data: [DONE]")


def counted(told: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    """Each side's sums, but for scores: the last of those come when all is over."""
    return {role: (row["requests"], row["answered"], row["seconds"]) for role, row in told["evidence"].items()}


async def test_a_restart_finds_state_and_evidence(tmp_path: Path) -> None:
    """Closed in an orderly way and opened again: the same phase, the same counts."""
    street = Street(tmp_path)
    await street.start()
    await street.order("/apply", {"percentage": 50, "force": True})
    for number in range(40):
        await street.ask(f"s{number}")
    before = counted((await street.order("", None))[1])
    await street.close()
    await street.open()
    told = (await street.order("", None))[1]
    assert (told["phase"], told["percentage"], counted(told)) == (4, 50.0, before)
    await street.stop()
