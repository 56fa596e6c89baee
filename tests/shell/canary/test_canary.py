"""A canary from its start to its end, by orders and by itself, and across restarts."""

from __future__ import annotations

from pathlib import Path

import pytest

from equipoise.canary import Candidate, CandidateRefused
from equipoise.canary.candidates import outlined
from equipoise.core.events import CanaryDecided
from equipoise.core.ladder import Command
from equipoise.core.rollout import candidate_takes
from equipoise.stores.state import StateStore
from tests.patience import turns, until
from tests.shell.canary.engines import BAD, FLAKY, GOOD, Lab


async def test_without_a_canary_nothing_is_different(tmp_path: Path) -> None:
    """Replies have no side, and nothing is remembered."""
    async with Lab(tmp_path) as lab:
        assert (await lab.ask()).role == "answer"
        assert (await lab.canary.status())["stage"] == "none"
        assert [row.get("side") for row in lab.estate.balancer.status()["backends"]] == [None]


async def test_each_key_has_its_side_and_keeps_it_as_the_share_grows(tmp_path: Path) -> None:
    """The split is the hash's; a larger weight expels nobody."""
    async with Lab(tmp_path, advance=False) as lab:
        await lab.begin(GOOD, 20.0)
        for share in (20.0, 60.0):
            if share > 20.0:
                await lab.canary.order(Command.SET_WEIGHT, share=share)
            heard = await lab.asked(100)
            assert heard == ["other" if candidate_takes(f"session s-{n}", share) else "good" for n in range(100)]


async def test_a_broken_candidate_is_rolled_back_at_once_and_nobody_loses_an_answer(tmp_path: Path) -> None:
    """Every question is answered by the control; after few failures the candidate is out, and the journal says why."""
    async with Lab(tmp_path) as lab:
        await lab.begin(BAD)
        assert set(await lab.asked(60)) == {"good"}
        status = await lab.canary.status()
        assert (status["stage"], status["share"]) == ("ended", 0.0)
        assert lab.verdicts == ["started", "rolled_back"]
        await lab.canary._settle()
        newest = (await lab.canary.status())["journal"][0]
        assert "rolled back after" in newest["what"]
        assert newest["who"] == "equipoise"
        assert (await lab.ask(lab.insider())).role == "answer"


async def test_the_verdict_is_one_sentence_with_its_evidence(tmp_path: Path) -> None:
    """Who errs how often against whom, how sure that is, and after how many questions."""
    async with Lab(tmp_path, failures_in_a_row=50) as lab:
        await lab.begin(FLAKY)
        await lab.asked(400)
        (decided,) = [e for e in lab.events if isinstance(e, CanaryDecided) and e.verdict == "rolled_back"]
        assert decided.message.startswith("candidate errs ")
        assert "% against 0.0 %, e-value " in decided.message
        assert decided.evidence["e_value"] >= 1 / 0.032
        assert decided.share == 0.0


async def test_a_rescued_question_is_one_request_with_two_sides(tmp_path: Path) -> None:
    """Its attempts count on under one id, the reply says who should have answered, and its bill is of both."""
    async with Lab(tmp_path) as lab:
        await lab.begin(BAD)
        reply = await lab.ask(lab.insider())
        assert (reply.role, reply.text) == ("rescue", "good: What is it?")
        assert [(role, number) for _, role, number in lab.roles] == [("candidate", 1), ("rescue", 2)]
        assert len({request for request, _, _ in lab.roles}) == 1
        assert [attempt.verdict.value for attempt in reply.attempts] == ["failure", "success"]


async def test_without_rescue_the_candidates_failure_is_the_callers(tmp_path: Path) -> None:
    """rescue: false passes it on."""
    async with Lab(tmp_path, rescue=False) as lab:
        await lab.begin(BAD)
        assert "upstream_error" in set(await lab.asked(10))


async def test_a_stream_is_rescued_before_its_first_word(tmp_path: Path) -> None:
    """And counts against the candidate."""
    async with Lab(tmp_path) as lab:
        await lab.begin(BAD)
        pieces = [piece async for piece in lab.estate.balancer.stream("Why?", session=lab.insider())]
        assert "".join(pieces) == "good: Why?"
        assert lab.canary.watch.all.comparisons["errors"].candidate.mean == 1.0


async def test_a_good_candidate_climbs_to_the_top_by_itself(tmp_path: Path) -> None:
    """Rung by rung, each by evidence; at the end everybody is answered by the candidate."""
    async with Lab(tmp_path, ladder=[30, 60, 100], required=["errors"], margin={"errors": 0.2}) as lab:
        await lab.begin(GOOD, 30.0)
        for _ in range(8):
            await lab.asked(60)
            lab.canary.look()
        assert lab.verdicts == ["started", "advanced", "promoted"]
        assert set(await lab.asked(20)) == {"other"}
        assert (await lab.canary.status())["stage"] == "promoted"


async def test_a_candidate_climbs_no_faster_than_evidence(tmp_path: Path) -> None:
    """With few questions it waits and says what for."""
    async with Lab(tmp_path) as lab:
        await lab.begin(GOOD)
        await lab.asked(10)
        assert "of at least 20 requests seen at 50 %" in (await lab.canary.status())["waits"]
        await lab.asked(50)
        assert "non-inferiority is not shown yet" in (await lab.canary.status())["waits"]


async def test_orders(tmp_path: Path) -> None:
    """Pause, resume, promote in full, undo, abort; each in the journal with its author."""
    async with Lab(tmp_path, advance=False) as lab:
        await lab.begin(GOOD, 10.0)
        orders = [
            (Command.PAUSE, {}, "paused", 10.0),
            (Command.RESUME, {}, "running", 10.0),
            (Command.PROMOTE, {"full": True}, "promoted", 100.0),
            (Command.UNDO, {}, "paused", 10.0),
            (Command.ABORT, {}, "ended", 0.0),
        ]
        for command, more, stage, share in orders:
            told = await lab.canary.order(command, who="ben", why="because", **more)
            assert (told["stage"], told["share"]) == (stage, share)
        lines = [entry["who"] for entry in (await lab.canary.status())["journal"]]
        assert lines == ["ben"] * 5 + ["ann"]
        with pytest.raises(ValueError, match="ended"):
            await lab.canary.order(Command.PROMOTE)


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """It says what would differ, or what would be done."""
    async with Lab(tmp_path) as lab:
        told = await lab.begin(GOOD, dry_run=True)
        assert (told["outcome"], told["differs"]) == ("planned", ["backend_instances.engine.function"])
        assert lab.estate.balancer.candidate is None
        await lab.begin(GOOD)
        told = await lab.canary.order(Command.ABORT, dry_run=True)
        assert told["would"].startswith("Abort canary")
        assert told["stage"] == "running"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("strategy: nonsense\n", "strategy"),
        ("state_dir: /elsewhere\n", "belongs to the gateway"),
        ("canary: {rescue: false}\n", "belongs to the gateway"),
        ("retry: {max_attempts: 1}\n", "differs in nothing"),
        ("backend_instances: {engine: {function: 'no.such:thing'}}\n", "cannot be used"),
        ("[1, 2]\n", "mapping"),
        ("a: [\n", "new.yaml"),
    ],
)
async def test_a_candidate_that_cannot_be_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With what is wrong; nothing has begun and no text is left lying about."""
    async with Lab(tmp_path) as lab:
        with pytest.raises(CandidateRefused, match=why):
            await lab.begin(text)
        assert lab.canary.standing.stage == "none"
        assert not list((tmp_path / "canary").glob("*"))


async def test_names_that_clients_use_must_not_be_lost(tmp_path: Path) -> None:
    """A candidate without a backend that can be asked for by name is refused, unless it is forced."""
    text = "backend_instances:\n  engine: null\n  newer: {backend_type: function, function: 'tests.shell.canary.engines:other'}\n"
    async with Lab(tmp_path) as lab:
        told = await lab.begin(text)
        assert told["outcome"] == "refused"
        assert "clients may ask for engine" in told["reason"]
        assert (await lab.begin(text, force=True))["outcome"] == "started"
        assert (await lab.ask(lab.insider(), model="engine")).text.startswith(("good", "other"))


async def test_one_canary_at_a_time(tmp_path: Path) -> None:
    """The second is refused and told what to do."""
    async with Lab(tmp_path) as lab:
        await lab.begin(GOOD)
        told = await lab.begin(FLAKY)
        assert (told["outcome"], told["reason"]) == ("refused", "new.yaml is running: abort it first")


async def test_a_strategy_needs_its_replay_where_that_is_required(tmp_path: Path) -> None:
    """Where nothing is recorded, it is refused and says so; other candidates are not concerned."""
    async with Lab(tmp_path, require_replay=True) as lab:
        told = await lab.begin("strategy: round_robin\n")
        assert told["outcome"] == "refused"
        assert "no ledger is kept" in told["reason"]
        assert (await lab.begin(GOOD))["outcome"] == "started"


async def test_a_strategy_and_weights_are_candidates(tmp_path: Path) -> None:
    """Whatever the configuration can say."""
    async with Lab(tmp_path) as lab:
        await lab.begin("strategy: round_robin\nbackend_instances: {engine: {weight: 3}}\n")
        replies = [await lab.ask(f"s-{number}") for number in range(20)]
        assert {(reply.role, reply.strategy) for reply in replies} == {
            ("control", "adaptive_learning"),
            ("candidate", "round_robin"),
        }


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    """The next process has the same candidate, share and evidence; what was found half before and half after counts once."""
    async with Lab(tmp_path, failures_in_a_row=500) as lab:
        await lab.begin(FLAKY)
        before = await lab.asked(20)
    seen, standing = lab.canary.watch.table(), lab.canary.standing
    async with Lab(tmp_path, failures_in_a_row=500) as lab:
        assert lab.canary.standing == standing
        for row, was in zip(lab.canary.watch.table(), seen, strict=True):
            if was["measure"] == "quality":
                continue  # answers are scored beside the questions, the last of them when all is over
            assert row == {name: pytest.approx(value) for name, value in was.items()}
        assert "flaky" in before
        assert lab.canary.standing.stage == "running"
        await lab.asked(300)
        lab.canary.look()
        assert lab.canary.standing.stage == "ended"
        assert lab.canary.watch.candidates > 20


async def test_a_process_that_was_killed_loses_no_state(tmp_path: Path) -> None:
    """Nothing was closed: share and candidate are there again, the evidence up to the last half second."""
    killed = Lab(tmp_path, advance=False)
    await killed.__aenter__()
    await killed.begin(GOOD, 30.0)
    await killed.asked(50)
    await killed.canary._settle()
    async with Lab(tmp_path, advance=False) as lab:
        assert (lab.canary.standing.share, lab.canary.standing.stage) == (30.0, "running")
        assert lab.canary.watch.candidates == killed.canary.watch.candidates > 0
    await killed.__aexit__()


async def test_two_processes_go_by_one_state(tmp_path: Path) -> None:
    """What one begins the other adopts; what one finds ends it in both."""
    async with Lab(tmp_path, failures_in_a_row=500) as one, Lab(tmp_path, failures_in_a_row=500) as two:
        await one.begin(FLAKY)
        await two.canary._refresh()
        assert two.canary.standing == one.canary.standing
        assert two.estate.balancer.candidate is not None
        for _ in range(40):
            await one.asked(10)
            await two.asked(10)
            for lab in (one, two):
                await lab.canary._settle()
                await lab.canary._refresh()
                lab.canary.look()
        assert {lab.canary.standing.stage.value for lab in (one, two)} == {"ended"}
        assert one.canary.watch.candidates == two.canary.watch.candidates


async def test_a_new_configuration_of_the_control_begins_the_comparison_anew(tmp_path: Path) -> None:
    """The candidate is laid over it, the share stays, the evidence is of another control and counts no more."""
    async with Lab(tmp_path, advance=False) as lab:
        await lab.begin("strategy: round_robin\n")
        await lab.asked(30)
        assert lab.canary.watch.candidates > 5
        await lab.replace({"timeout_seconds": 33.0})
        await until(lambda: lab.verdicts[-1] == "restarted")
        assert lab.canary.watch.candidates == 0
        assert (lab.canary.standing.share, lab.canary.standing.stage) == (50.0, "running")
        candidate = lab.estate.balancer.candidate
        assert candidate is not None
        assert candidate.intake.router.routes["auto"].timeout == 33.0
        assert lab.verdicts == ["started", "restarted"]
        assert (await lab.ask(lab.insider())).role == "candidate"


async def test_a_canary_is_finished_when_the_configuration_says_the_same(tmp_path: Path) -> None:
    """Whoever writes the promoted candidate into the file and reloads has no canary any more."""
    async with Lab(tmp_path, advance=False) as lab:
        await lab.begin("strategy: round_robin\n")
        await lab.canary.order(Command.PROMOTE, full=True)
        await lab.replace({"strategy": "round_robin"})
        await until(lambda: lab.verdicts[-1] == "finished")
        reply = await lab.ask()
        assert (reply.role, reply.strategy) == ("answer", "round_robin")


async def test_copies_are_compared_before_the_first_percent(tmp_path: Path) -> None:
    """Nobody is answered by the candidate until so many copies were; a broken one never gets a question."""
    copies = {"questions": 15, "share": 1.0, "max_usd_per_hour": 1.0}
    async with Lab(tmp_path / "good", copies=copies) as lab:
        assert (await lab.begin(GOOD))["stage"] == "shadow"
        assert set(await lab.asked(12)) == {"good"}
        await turns()
        await lab.asked(20)
        await turns()
        assert lab.verdicts == ["started", "advanced"]
        assert lab.canary.watch.candidates == sum(role == "candidate" for _, role, _ in lab.roles)
    async with Lab(tmp_path / "bad", copies=copies) as lab:
        await lab.begin(BAD)
        assert set(await lab.asked(40)) == {"good"}
        await turns()
        assert lab.verdicts == ["started", "rolled_back"]
        assert "candidate" not in {role for _, role, _ in lab.roles}


async def test_too_little_traffic_is_said_once(tmp_path: Path) -> None:
    """It does not climb meanwhile; with traffic it goes on."""
    async with Lab(tmp_path, quiet_minutes=1, quiet_requests=5) as lab:
        await lab.begin(GOOD)
        now = lab.canary._wall()
        for minute in (1, 2, 3):
            lab.canary._wall = lambda later=now + 61.0 * minute: later
            lab.canary._look_for_quiet()
        assert lab.verdicts == ["started", "held"]
        assert (await lab.canary.status())["waits"] == "too little traffic: 0 candidate requests in 1 min"
        await lab.asked(40)
        lab.canary._wall = lambda: now + 61.0 * 5
        lab.canary._look_for_quiet()
        assert lab.verdicts[:3] == ["started", "held", "resumed"]


async def test_a_store_that_cannot_be_written_stops_no_rollback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes effect at once, is said to be unwritten, and is written when that is possible again."""
    from equipoise.stores import StoreError

    async with Lab(tmp_path) as lab:
        await lab.begin(BAD)
        write = StateStore.write

        def full(*arguments: object) -> int:
            raise StoreError("disk full")

        monkeypatch.setattr(StateStore, "write", full)
        await lab.asked(60)
        await until(lambda: lab.troubles)
        assert lab.estate.balancer.candidate is None
        assert lab.troubles == ["disk full"]
        monkeypatch.setattr(StateStore, "write", write)
        await lab.canary._settle()
        assert (await lab.canary._keeping.journal(1))[0].what.endswith("requests")


async def test_the_text_of_a_candidate_is_for_its_owner_only(tmp_path: Path) -> None:
    """It may hold a key: its file is readable by nobody else, and no reply shows it."""
    secret = "k-123456789012345678901234567890"
    text = GOOD + f"    headers: {{authorization: '{secret}'}}\n"
    async with Lab(tmp_path) as lab:
        told = await lab.begin(text)
        (file,) = (tmp_path / "canary").glob("*.json")
        assert file.stat().st_mode & 0o077 == 0
        assert secret not in str(told) + str(await lab.canary.status()) + str(lab.events)


def test_what_only_one_side_has_is_named_once() -> None:
    """A new route differs in everything it says; people are told that there is a new route."""
    different = ["routes", "routes.auto.backends", "routes.auto.strategy", "routes_of_others", "strategy"]
    assert outlined(different) == ["routes", "routes_of_others", "strategy"]


def test_a_candidate_is_found_by_its_text() -> None:
    """Another text, or the same as a whole, is another candidate."""
    one = Candidate(name="a", text="x: 1")
    assert one.digest == Candidate(name="b", text="x: 1").digest
    assert (
        len({one.digest, Candidate(name="a", text="x: 2").digest, Candidate(name="a", text="x: 1", whole=True).digest})
        == 3
    )
