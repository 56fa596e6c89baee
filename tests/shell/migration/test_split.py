"""Who answers whom, and what is remembered of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from equipoise.backends.base import BackendError
from equipoise.balancer import Hints, Unanswered
from equipoise.core.model import Message, Question, Verdict
from equipoise.core.rollout import candidate_takes
from equipoise.migration import Order, Settings, State
from tests.fakes import ScriptedClient, answer
from tests.shell.migration.house import BROKEN, House


def question(text: str = "What is it?", **fields: object) -> Question:
    return Question(messages=[Message("user", text)], **fields)  # type: ignore[arg-type]


async def test_before_the_first_phase_the_old_side_answers_everything(tmp_path: Path) -> None:
    """And its attempts carry its role and name."""
    house = House(tmp_path)
    async with house.balancer:
        reply = await house.balancer.ask("What is it?")
    assert (reply.text, reply.role, reply.backend_id) == ("the old words", "control", "incumbent")
    assert [(attempt.role, attempt.backend_id) for attempt in house.attempts] == [("control", "incumbent")]
    assert house.new.asked == []


async def test_each_key_goes_where_the_rule_says(tmp_path: Path) -> None:
    """Sessions by their place under 25 %; the reply and the record name the side."""
    house = House(tmp_path)
    async with house.balancer:
        await house.to(3, force=True)
        house.events.clear()
        sides = await house.ask(200)
    meant = ["candidate" if candidate_takes(f"session s-{n}", 25) else "control" for n in range(200)]
    assert sides == meant
    assert [attempt.role for attempt in house.attempts] == meant


async def test_a_stream_is_split_and_counted_like_a_whole_answer(tmp_path: Path) -> None:
    """Its side is known at its beginning; its end is evidence; one its reader leaves is none."""
    house = House(tmp_path)
    async with house.balancer as balancer:
        await house.to(5, force=True)
        stream = await balancer.open(balancer.request(question(stream=True))[0])
        assert stream.role == "candidate"
        assert [piece async for piece in stream] == ["a ", "b"]
        left = await balancer.open(balancer.request(question(stream=True))[0])
        await left.aclose()
        house.new.cut = BROKEN
        broken = await balancer.open(balancer.request(question(stream=True))[0])
        with pytest.raises(Unanswered):
            async for _ in broken:
                pass
        found = (await house.migration.status())["evidence"]["candidate"]
    assert (found["requests"], found["answered"]) == (2, 1)
    assert balancer.in_flight == 0


async def test_the_caller_s_own_mistakes_are_no_evidence(tmp_path: Path) -> None:
    """An upstream's 400 counts for neither side, its 500 counts against it."""
    mistake = BackendError(Verdict.IGNORED, "bad field", status=400, client_error={"message": "bad field"})
    house = House(tmp_path, old=ScriptedClient(mistake, BROKEN, BROKEN, BROKEN))
    async with house.balancer:
        for _ in range(2):
            with pytest.raises(Unanswered):
                await house.balancer.ask("What is it?")
        found = (await house.migration.status())["evidence"]["control"]
    assert (found["requests"], found["answered"]) == (1, 0)


async def test_the_old_side_is_asked_once_as_before(tmp_path: Path) -> None:
    """A failure that may have been worked on is not repeated at the old side, and no breaker ever shuts it out."""
    house = House(tmp_path, old=ScriptedClient(*[BROKEN] * 30, answer("again")))
    async with house.balancer:
        for _ in range(30):
            with pytest.raises(Unanswered):
                await house.balancer.ask("What is it?")
        assert len(house.old.asked) == 30
        assert (await house.balancer.ask("What is it?")).text == "again"


async def test_a_model_name_chooses_no_side(tmp_path: Path) -> None:
    """An application's old words may be the name of a new backend: they are split like all others."""
    house = House(tmp_path)
    async with house.balancer:
        assert (await house.balancer.ask("What is it?", model="a")).role == "control"
        assert (await house.balancer.ask("What is it?", model="performance_based", max_cost=1)).role == "control"


async def test_what_a_question_sticks_to(tmp_path: Path) -> None:
    """Its session, else its end user, else its tenant where that is wanted, else only itself."""
    house = House(tmp_path)
    ours = house.balancer

    def key(options: dict[str, object] | None = None, **hints: object) -> str:
        asked = question(options=options or {})
        return ours.key_of(ours.request(asked, Hints(request_id="r1", **hints))[0])  # type: ignore[arg-type]

    assert key({"user": "u1"}, session="s1", tenant="t1") == "session s1"
    assert key({"user": "u1"}, tenant="t1") == "user u1"
    assert key(tenant="t1") == key() == "request r1"
    ours.settings = Settings(tenants_are_keys=True)
    assert key(tenant="t1") == "tenant t1"
    assert key() == "request r1"
    await ours.close()


async def test_the_status_shows_both_sides(tmp_path: Path) -> None:
    """Backends of the new side and the incumbent, each with its side; the incumbent cannot be drained away."""
    house = House(tmp_path)
    async with house.balancer:
        rows = house.balancer.status()["backends"]
        assert [(row["id"], row["side"]) for row in rows] == [("a", "candidate"), ("incumbent", "control")]
        for percentage, traffic in ((0, [False, True]), (10, [True, True]), (100, [True, False])):
            await house.migration.apply(Order(percentage=percentage, force=True))
            assert [row["has_traffic"] for row in house.balancer.status()["backends"]] == traffic
        with pytest.raises(KeyError):
            house.balancer.drain("incumbent")


async def test_the_phase_switches_what_the_new_side_may_do(tmp_path: Path) -> None:
    """Learning begins in phase 4 and the quality floor in phase 3; a rollback takes both away again."""
    house = House(tmp_path)
    selection = house.balancer.selection
    assert house.migration.state == State()
    full = replace(selection.routes["auto"], strategy="adaptive_learning", min_quality=0.7)
    house.migration._keeping._features._full = {"auto": full}
    async with house.balancer:
        seen = {}
        for phase in (2, 3, 4, 5):
            await house.to(phase, force=True)
            seen[phase] = (selection.routes["auto"].strategy, house.balancer.intake.router.routes["auto"].min_quality)
        await house.migration.rollback(3)
        back = selection.routes["auto"]
    assert seen == {
        2: ("health_aware", 0.0),
        3: ("health_aware", 0.7),
        4: ("adaptive_learning", 0.7),
        5: ("adaptive_learning", 0.7),
    }
    assert (back.strategy, back.min_quality) == ("health_aware", 0.7)
