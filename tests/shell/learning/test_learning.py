"""What is learned outlives the process, is shared among several, and shows itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from equipoise import LoadBalancer
from equipoise.build import build
from equipoise.build.metrics import weights
from equipoise.canary.sides import CanaryBalancer
from equipoise.config.load import load
from equipoise.core.events import AnswerScored
from equipoise.swap import built_beside, take_over
from equipoise.telemetry.prometheus import Metrics
from tests.patience import until

QUESTIONS = ("Latest metabolomics news?", "What is glycolysis?", "Compare LC-MS versus NMR", "Who wrote Hamlet?")


def worthy(text: str) -> str:
    return "An answer with some words in it."


def configured(folder: Path, **more: Any) -> dict[str, Any]:
    """Three backends that answer, and a route that learns."""
    backends = {n: {"backend_type": "function", "function": f"{__name__}:worthy"} for n in ("a", "b", "c")}
    return {
        "backend_instances": backends,
        "state_dir": str(folder),
        "quality_sampling_rate": 0.0,
        "enable_real_time_monitoring": False,
        "seed": 1,
        **more,
    }


def built(folder: Path, **more: Any) -> LoadBalancer:
    return build(load(configured(folder, **more)).config).balancer


async def taught(balancer: LoadBalancer, good: str, times: int) -> None:
    """Ask, and let one backend's answers be the good ones."""
    for number in range(times):
        reply = await balancer.ask(QUESTIONS[number % len(QUESTIONS)])
        balancer.scored(
            AnswerScored(
                request_id=reply.request_id,
                attempt=1,
                backend_id=reply.backend_id,
                route="auto",
                tenant="default",
                kind="general",
                role="answer",
                quality=0.95 if reply.backend_id == good else 0.3,
                variance=0.0,
                source="judge",
                wall=balancer.selection.clock.wall(),
            )
        )


async def copied(balancer: LoadBalancer) -> None:
    """No copy is under way any more."""
    trials = balancer.trials
    assert trials is not None
    await until(lambda: trials.status()["running"] == 0)


def policy(balancer: LoadBalancer) -> Any:
    return balancer.selection.learners()["auto", "adaptive_learning"]


@pytest.fixture
def labels(tmp_path: Path) -> Iterator[Path]:
    """Forty scored answers of which b's are the good ones."""
    path = tmp_path / "labels.jsonl"
    rows = [
        {"question": f"{QUESTIONS[n % 4]} {n}", "backend": name, "quality": 0.9 if name == "b" else 0.4}
        for n in range(40)
        for name in ("a", "b", "c", "gone")
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


async def test_what_was_learned_is_there_after_a_restart(tmp_path: Path) -> None:
    """Saved at the end, taken up at the beginning: the favourite is the favourite from the first question."""
    async with built(tmp_path) as balancer:
        await taught(balancer, "b", 150)
        before = policy(balancer).state()
    async with built(tmp_path) as again:
        assert policy(again).state() == before
        assert again.decide(QUESTIONS[0]).probabilities["b"] > 0.9
        assert again.learning is not None
        assert again.learning.status()["trouble"] is None


async def test_two_processes_learn_from_each_other(tmp_path: Path) -> None:
    """Each saves under its own name; neither overwrites nor counts twice."""
    first, second = built(tmp_path), built(tmp_path)
    assert [of.learning.status()["instance"] for of in (first, second)] == ["main", "main-2"]  # type: ignore[union-attr]
    async with first, second:
        await taught(first, "c", 150)
        own = policy(first).learner.save().arms
        for balancer in (first, second, first, second, first):
            await balancer.learning._save()  # type: ignore[union-attr]
        assert second.decide(QUESTIONS[0]).probabilities["c"] > 0.9
        assert policy(second).learner.save().arms["c"].quality.count == 0
        assert policy(first).learner.save().arms == own


async def test_what_does_not_fit_is_left_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Other kinds of question, another form of features: it begins anew and says so; nothing fails."""
    async with built(tmp_path) as balancer:
        await taught(balancer, "b", 20)
    state = policy(balancer).state()
    state["learner"]["version"] = 99
    with pytest.raises(ValueError, match="version 99"):
        policy(balancer).restore(state)
    async with built(tmp_path, kinds={"law": ["tort"]}) as other:
        reply = await other.ask("Is this a tort?")
        assert reply.text
        assert "not learned" not in other.decide("Is this a tort?").reason
        assert policy(other).learner.save().tick == 0
        assert "does not fit" in other.learning.status()["trouble"]  # type: ignore[union-attr]


async def test_labels_are_a_beginning_where_nothing_was_learned(tmp_path: Path, labels: Path) -> None:
    """Scored answers from a file; those of backends there are not are left out."""
    async with built(tmp_path, learning={"labels": str(labels)}) as balancer:
        assert balancer.decide(QUESTIONS[1]).probabilities["b"] > 0.8
        assert sorted(policy(balancer).learner.arms) == ["a", "b", "c"]


@pytest.mark.parametrize("line", ['{"question": "x"}', "no json", '{"question": "x", "backend": "a", "quality": 2}'])
async def test_labels_that_cannot_be_read_are_trouble_and_no_error(tmp_path: Path, line: str) -> None:
    """The line is named."""
    path = tmp_path / "labels.jsonl"
    path.write_text(line + "\n")
    async with built(tmp_path, learning={"labels": str(path)}) as balancer:
        assert "line 1" in balancer.learning.status()["trouble"]  # type: ignore[union-attr]
        assert (await balancer.ask("x")).text


async def test_nothing_is_kept_where_no_ledger_is(tmp_path: Path) -> None:
    """A balancer inside another program leaves no files behind."""
    async with built(tmp_path / "state", ledger={"enabled": False}) as balancer:
        await taught(balancer, "b", 5)
    assert not (tmp_path / "state").exists()


async def test_a_route_that_explores_in_the_shadow_buys_labels_on_copies(tmp_path: Path) -> None:
    """Live questions all go to the best; copies go to the others, are scored, learned from, and bounded in cost."""
    more = {"routes": {"auto": {"explore": "shadow"}}, "learning": {"shadow_share": 1.0}, "quality_sampling_rate": 0.0}
    async with built(tmp_path, **more) as balancer:
        for number in range(40):
            assert (await balancer.ask(QUESTIONS[number % 4])).decision.probability == 1.0
            await copied(balancer)
        assert balancer.trials is not None
        assert balancer.trials.counts.answered > 20
        assert balancer.scorer is not None
        await balancer.scorer.drained()
        known = {name: arm.scored for name, arm in policy(balancer).learner.arms.items()}
        assert sum(known.values()) > 20
        assert min(known.values()) > 0


@pytest.mark.parametrize("explore", ["live", "off"])
async def test_other_routes_make_no_copies(tmp_path: Path, explore: str) -> None:
    """Nothing is asked twice that was not to be."""
    async with built(tmp_path, routes={"auto": {"explore": explore}}, learning={"shadow_share": 1.0}) as balancer:
        await balancer.ask("x")
        assert balancer.trials is None


async def test_copies_stop_where_their_money_ends(tmp_path: Path) -> None:
    """An allowance of nothing buys nothing."""
    more = {"routes": {"auto": {"explore": "shadow"}}, "learning": {"shadow_share": 1.0, "shadow_usd_per_hour": 0.0}}
    async with built(tmp_path, **more) as balancer:
        await balancer.ask("x")
        assert balancer.trials is not None
        assert (balancer.trials.counts.answered, balancer.trials.counts.dropped_cost) == (0, 1)


async def test_what_is_learned_is_in_the_metrics(tmp_path: Path) -> None:
    """Weights and beliefs, by kind and backend; labels come from the configuration."""
    async with built(tmp_path) as balancer:
        await taught(balancer, "b", 20)
        balancer.learning.weights.adjust(balancer.selection.clock.wall())  # type: ignore[union-attr]
        metrics = Metrics()
        metrics.set_learning(balancer.learning.status)  # type: ignore[union-attr]
        metrics.set_learned(lambda: weights(balancer))
        text = metrics.render().decode()
    assert 'lb_learned_weight{backend_id="b",kind="general",route="auto"}' in text
    assert 'lb_believed_quality{backend_id="b",kind="general",policy="auto/adaptive_learning"}' in text
    assert 'lb_learned_performance{backend_id="b",kind="general"} 0.95' in text
    assert 'lb_learned_performance_half_width{backend_id="b",kind="general"} 0.' in text
    assert 'lb_learning_deciding{policy="auto/adaptive_learning"} 1.0' in text


async def test_a_kind_of_ones_own_is_found_and_learned_about(tmp_path: Path) -> None:
    """By the operator's words."""
    async with built(tmp_path, kinds={"law": ["tort", "statut*"]}) as balancer:
        assert balancer.decide("Is this a tort?").kind == "law"
        assert balancer.decide("Which statutes apply?").kind == "law"


async def test_whoever_takes_a_balancers_place_goes_on_with_what_it_has(tmp_path: Path) -> None:
    """A place for a canary costs nothing: what was learned, copies, waiting room and cost efficiency are the same."""
    base = built(tmp_path, routes={"auto": {"explore": "shadow"}}, learning={"shadow_share": 1.0})
    balancer = CanaryBalancer(base)
    async with balancer:
        assert (balancer.learning, balancer.efficiency) == (base.learning, base.efficiency)
        assert balancer.room.options == base.room.options
        for number in range(10):
            await balancer.ask(QUESTIONS[number % 4])
            await copied(balancer)
        assert balancer.trials is not None
        assert balancer.trials.counts.answered > 5
        balancer.learning.weights.adjust(balancer.selection.clock.wall())  # type: ignore[union-attr]
        assert balancer.learning.weights.rows()  # type: ignore[union-attr]


async def test_a_backend_that_joins_while_running_leaves_what_is_known_of_others(tmp_path: Path) -> None:
    """Its route is another then; beliefs of those that were there stay, and the new one is a newcomer."""
    async with built(tmp_path) as balancer:
        await taught(balancer, "b", 150)
        more = configured(tmp_path)
        more["backend_instances"]["d"] = {"backend_type": "function", "function": f"{__name__}:worthy"}
        config = load(more).config
        await take_over(balancer, built_beside(config), config)
        assert policy(balancer).learner.arms["b"].scored > 50
        probabilities = balancer.decide(QUESTIONS[0]).probabilities
        assert probabilities["b"] > 0.9
        assert 0.01 < probabilities["d"] < 0.03  # however good its prior looks


async def test_other_kinds_while_running_begin_anew(tmp_path: Path) -> None:
    """Other features cannot be compared: what was learned is dropped, which is told, and learning goes on."""
    async with built(tmp_path) as balancer:
        await taught(balancer, "b", 60)
        config = load(configured(tmp_path, kinds={"law": ["tort"]})).config
        await take_over(balancer, built_beside(config), config)
        assert "not learned" not in balancer.decide("Is this a tort?").reason
        await taught(balancer, "c", 60)
        assert policy(balancer).learner.arms["c"].scored > 20
        assert "other kinds" in balancer.learning.status()["trouble"]  # type: ignore[union-attr]
