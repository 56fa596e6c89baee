"""Whatever a configuration has running beside and after a question, it is shown to nobody who may not see it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.base import BackendError
from equipoise.balancer import LoadBalancer, Unanswered
from equipoise.build import Estate, build
from equipoise.canary import Candidate
from equipoise.canary.assembly import from_config as canary_of
from equipoise.config.load import load
from equipoise.core.attempts import Attempts
from equipoise.core.callers import Caller
from equipoise.core.data_classes import NOT_ALLOWED
from equipoise.core.intake import Intake
from equipoise.core.model import Message, Question
from equipoise.core.retry import RetryBudget, RetryOptions
from equipoise.core.rollout import Order, candidate_takes
from equipoise.core.routing import Route, Router
from equipoise.crew import Crew
from equipoise.gateway import ClientKeys
from equipoise.gateway.dialects.base import Asked, Malformed
from equipoise.gateway.hints import DATA_CLASS, read_hints
from equipoise.gateway.keys import digest
from equipoise.migration import Answerer, IncumbentClient, Migration
from equipoise.migration.assembly import from_config as migration_of
from equipoise.swap import built_beside, take_over
from tests.fakes import FakeClock, ScriptedClient, answer, backend, request, selection
from tests.shell.config.conftest import Write, told, write  # noqa: F401 - a fixture
from tests.shell.gateway.scripted import gateway_of, http, whole
from tests.shell.trust.engines import SHOWN, engine

PATIENTS = frozenset({"patients"})
TRUSTED, STRANGER = engine("trusted", "patients"), engine("stranger")


@pytest.fixture(autouse=True)
def _nobody_was_shown_anything() -> Iterator[None]:
    SHOWN.clear()
    yield
    SHOWN.clear()


def configuration(folder: Path, backends: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "backend_instances": backends,
        "strategy": "round_robin",
        "state_dir": str(folder),
        "ledger": {"enabled": False},
        "retry": {"max_attempts": 4, "backoff_base_seconds": 0.001, "share": 1.0, "burst": 100},
        "enable_real_time_monitoring": False,
        **more,
    }


@asynccontextmanager
async def running(folder: Path, backends: dict[str, Any], **more: Any) -> AsyncIterator[LoadBalancer]:
    async with build(load(configuration(folder, backends, **more)).config).balancer as balancer:
        yield balancer


async def ask(balancer: LoadBalancer, count: int = 8, **hints: Any) -> list[str]:
    """So many questions about patients; who answered, or the code of the error."""
    heard = []
    for number in range(count):
        said = {"data_classes": PATIENTS, "session": f"s-{number}", **hints}
        try:
            heard.append((await balancer.ask("What is a metabolite?", **said)).backend_id)
        except Unanswered as error:
            heard.append(error.code)
        await asyncio.sleep(0.002)
    return heard


@pytest.mark.parametrize("pinned", [True, False])
async def test_failover_ends_before_it_reaches_one_that_does_not_allow_it(tmp_path: Path, pinned: bool) -> None:
    """The caller is told of the failure; the one that would have answered was never shown the question."""
    routes = {"auto": {"backends": ["failing", "stranger"], "fallback": ["stranger"]}}
    backends = {"failing": engine("failing", "patients"), "stranger": STRANGER}
    async with running(tmp_path, backends, routes=routes) as balancer:
        heard = await ask(balancer, model="stranger" if pinned else "auto")
    assert set(heard) == {NOT_ALLOWED if pinned else "upstream_error"}
    assert bool(SHOWN["failing"]) is not pinned
    assert SHOWN["stranger"] == []


async def test_no_copy_goes_there_for_learning(tmp_path: Path) -> None:
    """Of questions without a class copies are made; so the others would have been."""
    routes = {"auto": {"explore": "shadow"}}
    learning = {"shadow_share": 1.0, "shadow_usd_per_hour": 100.0}
    backends = {"trusted": TRUSTED, "stranger": STRANGER}
    more = {"routes": routes, "learning": learning, "strategy": "adaptive_learning"}
    async with running(tmp_path, backends, **more) as balancer:
        assert set(await ask(balancer, 20)) == {"trusted"}
        assert SHOWN["stranger"] == []
        await ask(balancer, 20, data_classes=frozenset())
    assert SHOWN["stranger"]


async def test_no_judge_grades_what_it_may_not_see(tmp_path: Path) -> None:
    """It is counted that it was not asked; of questions without a class it is."""
    quality = {"judge": {"backend": "stranger", "share": 1.0, "max_usd_per_hour": 100.0}}
    routes = {"auto": {"backends": ["trusted"]}}
    backends = {"trusted": TRUSTED, "stranger": STRANGER}
    async with running(tmp_path, backends, quality=quality, quality_sampling_rate=1.0, routes=routes) as balancer:
        await ask(balancer)
        assert balancer.scorer is not None
        await balancer.scorer.drained()
        assert SHOWN["stranger"] == []
        assert balancer.scorer.judge.counts.not_allowed == 8  # type: ignore[union-attr]
        await ask(balancer, data_classes=frozenset())
        await balancer.scorer.drained()
    assert SHOWN["stranger"]


async def test_a_poor_answer_is_not_bettered_there(tmp_path: Path) -> None:
    """A route that escalates gives the poor answer rather than show the question around."""
    routes = {"auto": {"escalate": True, "min_quality": 0.7}}
    backends = {
        "refusing": engine("refusing", "patients", quality_score=0.8),
        "stranger": engine("stranger", quality_score=1.0),
    }
    async with running(tmp_path, backends, routes=routes, quality_sampling_rate=1.0) as balancer:
        assert set(await ask(balancer)) == {"refusing"}
        assert SHOWN["stranger"] == []
        assert "stranger" in await ask(balancer, data_classes=frozenset())


CANDIDATE = """
backend_instances:
  new: {backend_type: function, function: "tests.shell.trust.engines:stranger", circuit_breaker_enabled: false}
"""


@asynccontextmanager
async def a_canary(folder: Path, share: float, **section: Any) -> AsyncIterator[LoadBalancer]:
    loaded = load(
        configuration(folder, {"trusted": TRUSTED}, canary={"hold_minutes": 0, "minimum_requests": 1_000, **section})
    )
    estate = build(loaded.config)
    canary = canary_of(loaded.config, estate, lambda: loaded.config, lambda trouble: None)
    async with estate.balancer as balancer:
        await canary.begin(Candidate(name="new.yaml", text=CANDIDATE), share, who="ann", why="try")
        yield balancer


async def test_a_candidate_is_not_shown_it(tmp_path: Path) -> None:
    """Whoever it takes is answered by the control, which allows it; those without a class it answers itself."""
    insider = next(f"i-{n}" for n in range(999) if candidate_takes(f"session i-{n}", 50.0, ""))
    async with a_canary(tmp_path, 50.0) as balancer:
        assert set(await ask(balancer, 3, session=insider)) == {"trusted"}
        assert SHOWN["stranger"] == []
        assert await ask(balancer, 1, session=insider, data_classes=frozenset()) == ["new"]


async def test_nor_are_copies_for_a_candidate(tmp_path: Path) -> None:
    """While it has no traffic it is shown copies, but none of these."""
    async with a_canary(
        tmp_path, 50.0, copies={"questions": 1_000, "share": 1.0, "max_usd_per_hour": 100.0}
    ) as balancer:
        assert set(await ask(balancer)) == {"trusted"}
        assert SHOWN["stranger"] == []
        await ask(balancer, data_classes=frozenset())
    assert SHOWN["stranger"]


def moving(folder: Path, incumbent: dict[str, Any], new: dict[str, Any]) -> tuple[Estate, Migration]:
    section = {"incumbent": incumbent, "shadow": {"share": 1.0, "max_usd_per_hour": 100.0}}
    folder.mkdir()
    config = load(configuration(folder, {"new": new}, migration=section)).config
    estate = build(config)
    migration = migration_of(config, estate)
    assert migration is not None
    return estate, migration


async def test_a_migration_never_shows_it_to_an_old_side_that_does_not_allow_it(tmp_path: Path) -> None:
    """While all traffic is still there the question is refused; those without a class are answered."""
    estate, _ = moving(tmp_path / "a", {"function": "tests.shell.trust.engines:stranger"}, TRUSTED)
    async with estate.balancer as balancer:
        assert set(await ask(balancer)) == {NOT_ALLOWED}
        assert SHOWN["stranger"] == []
        assert set(await ask(balancer, data_classes=frozenset())) == {"incumbent"}


async def test_nor_to_a_new_side_neither_as_a_copy_nor_when_its_time_comes(tmp_path: Path) -> None:
    """Copies in the first phase, traffic in the last: what only the old side may see stays there."""
    old = {"function": "tests.shell.trust.engines:trusted", "allows": ["patients"]}
    estate, migration = moving(tmp_path / "b", old, STRANGER)
    async with estate.balancer as balancer:
        for phase in (1, 2, 5):
            done = await migration.apply(Order(phase=phase, who="ann", why="x", force=True))
            SHOWN.clear()  # the questions of ours that a phase begins with
            assert set(await ask(balancer)) == {"incumbent"}, done
            assert SHOWN["stranger"] == []
            await ask(balancer, 60, data_classes=frozenset())
            assert SHOWN["stranger"]


async def test_an_old_router_that_decides_for_one_who_may_not_see_it_gets_no_answer() -> None:
    """It may see the question itself; whom it names may not, and is not asked."""
    client = ScriptedClient(answer())
    old = IncumbentClient(lambda text: {"routing_decision": "lightrag"}, {"lightrag": Answerer(client)})
    with pytest.raises(BackendError, match="does not name the data class patients") as refused:
        await old.send(request(data_classes=PATIENTS), 5.0)
    assert (refused.value.code, client.asked) == (NOT_ALLOWED, [])
    assert (await old.send(request(), 5.0)).text == answer().text


async def test_what_a_graph_asks_on_its_way_may_be_about_anything_that_it_may_see(tmp_path: Path) -> None:
    """Its calls name no question, so each is taken for the most delicate that it may be for."""
    graph = {
        "backend_type": "lightrag", "endpoint_url": "http://127.0.0.1:9", "llm_via": ["inside"], "allows": ["patients"],
    }  # fmt: skip
    backends = {"graph": graph, "trusted": TRUSTED, "stranger": STRANGER}
    routes = {"auto": {"backends": ["graph"]}, "inside": {"backends": ["trusted", "stranger"]}}
    async with running(tmp_path, backends, routes=routes) as balancer:
        assert set(await ask(balancer, model="inside", data_classes=frozenset())) == {"trusted"}
    assert SHOWN["stranger"] == []


@pytest.mark.parametrize(("strict", "heard"), [({}, "model_not_found"), ({"strict_models": False}, "stranger")])
async def test_a_misspelt_route_does_not_lead_past_its_class(
    tmp_path: Path, strict: dict[str, Any], heard: str
) -> None:
    """Nobody stands in for a name that is none where a route has a class, unless the operator says so."""
    backends = {"trusted": TRUSTED, "stranger": STRANGER}
    routes = {"auto": {"backends": ["stranger"]}, "clinic": {"data_class": ["patients"]}}
    async with running(tmp_path, backends, routes=routes, **strict) as balancer:
        for name in ("Clinic", "clinc", "clinic:cheap", "clinic "):
            assert await ask(balancer, 1, model=name, data_classes=frozenset()) == [heard]
        assert await ask(balancer, 1, model="clinic", data_classes=frozenset()) == ["trusted"]


async def test_a_reload_that_takes_it_away_counts_from_the_next_question_on(tmp_path: Path) -> None:
    """Also where sessions, limits and what was learned are kept."""
    before = {"trusted": TRUSTED, "stranger": engine("stranger", "patients")}
    after = load(configuration(tmp_path, {"trusted": TRUSTED, "stranger": STRANGER})).config
    async with running(tmp_path, before) as balancer:
        assert set(await ask(balancer)) == {"trusted", "stranger"}
        await take_over(balancer, built_beside(after), after)
        SHOWN.clear()
        assert set(await ask(balancer)) == {"trusted"}
    assert SHOWN["stranger"] == []


async def test_the_last_door_is_locked_as_well() -> None:
    """Should a selection ever lease wrongly, the client is not called."""
    client, retry = ScriptedClient(answer()), RetryOptions()
    it = selection([backend("a")])
    attempts = Attempts(request(), it, RetryBudget(retry, 0.0), retry, random.Random(1), lambda event: None)
    lease = attempts.acquire()
    attempts.request = request(data_classes=PATIENTS)
    crew = Crew({"a": client})
    for door in (crew.send, crew.begin_stream):
        with pytest.raises(BackendError, match="was not asked"):
            await door(attempts, lease)
    assert client.asked == []


classes = st.frozensets(st.sampled_from(["patients", "trials", "staff"]))


@given(classes, classes, classes, classes)
def test_what_a_question_says_adds_to_what_its_key_and_its_route_say(
    of_key: frozenset[str], of_route: frozenset[str], in_header: frozenset[str], in_metadata: frozenset[str]
) -> None:
    """Header and metadata alike; neither takes anything away, not even each other's."""
    headers = {DATA_CLASS.encode(): ",".join(in_header).encode()} if in_header else {}
    metadata = {DATA_CLASS: ",".join(in_metadata)} if in_metadata else None
    asked = Asked(Question(messages=[Message("user", "?")]), "auto", metadata)
    said = read_hints(headers, asked, "r", Caller(data_classes=of_key))
    assert said.data_classes == of_key | in_header | in_metadata
    of = route_of(of_route).request(asked.question, said)[0]
    assert of.data_classes == of_key | in_header | in_metadata | of_route


def route_of(classes: frozenset[str]) -> Intake:
    router = Router({"auto": Route(name="auto", backends=("a",), strategy="weighted", data_classes=classes)}, ("a",))
    return Intake(router, lambda text: "", clock=FakeClock(), chance=random.Random(1))


@pytest.mark.parametrize("said", ["", "no body", "\u00e9", "a" * 33])
def test_what_cannot_be_read_is_refused_and_not_ignored(said: str) -> None:
    """400, with the name of the header."""
    asked = Asked(Question(messages=[Message("user", "?")]), "auto", None)
    with pytest.raises(Malformed) as refused:
        read_hints({DATA_CLASS.encode(): said.encode("latin-1")}, asked, "r", Caller())
    assert refused.value.status == 400
    assert DATA_CLASS in str(refused.value)


async def test_the_refusal_says_which_rule_left_out_whom(tmp_path: Path) -> None:
    """503 with its own code, a reason for each, and no Retry-After: nothing will change by waiting."""
    keys = ClientKeys({digest("k"): Caller(key="k", tenant="t", data_classes=PATIENTS)})
    async with running(tmp_path, {"stranger": STRANGER, "staff": engine("trusted", "staff")}) as balancer:
        gateway = gateway_of(balancer, keys)
        body = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
        fields = {"authorization": "Bearer k", "x_equipoise_data_class": "staff"}
        response = await gateway.handle(http("POST", "/v1/chat/completions", body, **fields))
        told = json.loads(await whole(response))
    assert (response.status, told["error"]["code"]) == (503, NOT_ALLOWED)
    assert told["reasons"] == {
        "stranger": "its `allows` does not name the data classes patients, staff",
        "staff": "its `allows` does not name the data class patients",
    }
    assert b"retry-after" not in dict(response.headers)
    assert not any(SHOWN.values())


async def test_an_answer_kept_under_other_terms_is_given_to_nobody(tmp_path: Path) -> None:
    """A repeat that says more (or less) of what it holds is another question, whatever its key."""
    async with running(tmp_path, {"stranger": STRANGER}) as balancer:
        gateway = gateway_of(balancer)
        body = b'{"model":"auto","messages":[{"role":"user","content":"Why?"}]}'
        first = await gateway.handle(http("POST", "/v1/chat/completions", body, idempotency_key="i"))
        again = http("POST", "/v1/chat/completions", body, idempotency_key="i", x_equipoise_data_class="patients")
        assert (first.status, (await gateway.handle(again)).status) == (200, 422)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("keys: {k: {tenant: t, api_key: 'sk-' , data_class: patients}}\n", "keys.k.data_class"),
        ("routes: {r: {backends: [a], data_class: [staff, patients]}}\n", "routes.r.data_class"),
    ],
)
def test_what_nobody_could_answer_is_an_error_of_the_configuration(text: str, place: str, write: Write) -> None:  # noqa: F811
    """A misspelt class stops the start, and not every question."""
    backends = (
        "backend_instances:\n"
        "  a: {backend_type: lightrag, endpoint_url: 'http://x:1', allows: [staff]}\n"
        "  b: {backend_type: lightrag, endpoint_url: 'http://x:2', allows: staff}\n"
    )
    said = told(backends + text, write)
    assert (
        f"{place}: no backend here allows patients" in said
        or f"{place}: no backend here allows patients, staff" in said
    )
