"""What people say of an answer finds the answer, is theirs to say, and changes what is believed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from equipoise.build import Estate, build
from equipoise.cli.serving import make_gateway
from equipoise.config import ConfigurationError
from equipoise.config.load import load
from equipoise.gateway import Gateway
from equipoise.scoring.remembered import Recent
from equipoise.stores.reports import Wanted, records
from tests.shell.gateway.scripted import http

ENGINE = {"backend_type": "function", "function": "tests.shell.scoring.own:good", "price": {"per_request": 0.001}}
SAYS = b'{"request_id": "r1", "rating": 5}'


@asynccontextmanager
async def house(folder: Path, **config: Any) -> AsyncIterator[tuple[Estate, Gateway]]:
    said = {"backend_instances": {"a": ENGINE}, "state_dir": str(folder), "quality_sampling_rate": 1.0, **config}
    loaded = load(said, environ={}).config
    estate = build(loaded)
    async with estate.balancer:
        yield estate, make_gateway(loaded, estate)


async def ask(gateway: Gateway, name: str = "r1", **headers: str) -> None:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "What is a metabolite?"}]}).encode()
    response = await gateway.handle(http("POST", "/v1/chat/completions", body, x_request_id=name, **headers))
    assert response.status == 200


async def say(gateway: Gateway, body: bytes = SAYS, **headers: str) -> tuple[int, dict[str, Any]]:
    response = await gateway.handle(http("POST", "/v1/feedback", body, **headers))
    return response.status, json.loads(bytes(response.body))  # type: ignore[arg-type]


async def story(gateway: Gateway, name: str = "r1") -> dict[str, Any]:
    response = await gateway.handle(http("GET", f"/v1/requests/{name}"))
    found: dict[str, Any] = json.loads(bytes(response.body))  # type: ignore[arg-type]
    return found


async def story_of(gateway: Gateway, key: str) -> dict[str, Any]:
    response = await gateway.handle(http("GET", "/v1/requests/r1", x_api_key=key))
    found: dict[str, Any] = json.loads(bytes(response.body))  # type: ignore[arg-type]
    return found


async def test_a_rating_replaces_the_rules_and_stands_in_the_story(tmp_path: Path) -> None:
    """Believed of the backend, kept beside the attempt, in numbers only."""
    async with house(tmp_path) as (estate, gateway):
        await ask(gateway)
        scorer = estate.balancer.scorer
        assert scorer is not None
        await scorer.drained()
        status, told = await say(gateway, b'{"request_id": "r1", "rating": 2}')
        assert (status, told["quality"], told["counts"]) == (200, 0.25, True)
        (attempt,) = (await story(gateway))["attempts"]
        assert [opinion["voice"] for opinion in attempt["quality"]] == ["proxy", "rating"]
        assert attempt["quality"][0]["dimensions"]["relevance"] > 0.5
        assert estate.balancer.selection.backends["a"].quality.mean < 1.0
        assert "small molecule" not in json.dumps(attempt)


@pytest.mark.parametrize(
    ("body", "quality"),
    [
        ({"rating": "up"}, 1.0),
        ({"rating": "down"}, 0.0),
        ({"rating": 3}, 0.5),
        ({"score": 0.7, "type": "automated"}, 0.7),
        ({"score": 0.9, "type": "expert", "dimensions": {"support": 1.0}}, 0.9),
    ],
)
async def test_three_kinds_of_feedback(tmp_path: Path, body: dict[str, Any], quality: float) -> None:
    """Ratings, expert review, automated scores."""
    async with house(tmp_path) as (_, gateway):
        await ask(gateway)
        status, told = await say(gateway, json.dumps({"request_id": "r1", **body}).encode())
        assert (status, told["quality"], told["type"]) == (200, quality, body.get("type", "rating"))


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"no json",
        b'{"request_id": "r1"}',
        b'{"request_id": "r1", "rating": 6}',
        b'{"request_id": "r1", "rating": 3, "score": 0.5}',
        b'{"request_id": "r1", "score": 1.5}',
        b'{"request_id": "r1", "score": 0.5, "type": "oracle"}',
        b'{"request_id": "r1", "score": 0.5, "dimensions": {"a": 2}}',
        b'{"request_id": "r1", "score": 0.5, "dimensions": {"Mr Smith has it": 0.5}}',
        b'{"request_id": "r1", "score": 0.5, "dimensions": {"a\\u001b[31m": 0.5}}',
        b'{"request_id": "r1", "score": 0.5, "dimensions": {"": 0.5}}',
        b'{"request_id": "r1", "rating": "sideways"}',
        b'{"request_id": "r1", "rating": 5, "comment": "kept nowhere"}',
    ],
)
async def test_what_is_no_feedback_is_refused(tmp_path: Path, body: bytes) -> None:
    """With a word; nothing is taken in."""
    async with house(tmp_path) as (_, gateway):
        await ask(gateway)
        status, told = await say(gateway, body)
        assert (status, told["error"]["code"]) == (400, "invalid_request_error")


async def test_feedback_for_nothing_and_too_much_of_it_are_refused(tmp_path: Path) -> None:
    """404 and 413."""
    async with house(tmp_path) as (_, gateway):
        assert (await say(gateway))[0] == 404
        assert (await say(gateway, b" " * 9000 + SAYS))[0] == 413


async def test_late_feedback_finds_its_answer_in_the_ledger(tmp_path: Path) -> None:
    """Forgotten here, or answered by another process: joined by request id all the same, opinions included."""
    async with house(tmp_path) as (estate, gateway):
        await ask(gateway)
        scorer = estate.balancer.scorer
        assert scorer is not None
        await scorer.drained()
        scorer.recent = Recent(10)
        assert (await say(gateway, b'{"request_id": "r1", "type": "expert", "score": 0.5}'))[1]["counts"]
        scorer.recent = Recent(10)
        status, told = await say(gateway)
        assert (status, told["counts"]) == (200, False)  # the expert's word stands
        assert scorer.calibration.labels("a") == 4.0


async def test_a_tenant_speaks_of_its_own_requests_only(tmp_path: Path) -> None:
    """Another's request is as unknown as none, from memory and from the ledger; without a key nothing is said."""
    keys = {"one": {"key": "key-one-key-one", "tenant": "one"}, "two": {"key": "key-two-key-two", "tenant": "two"}}
    async with house(tmp_path, keys=keys) as (estate, gateway):
        await ask(gateway, x_api_key="key-one-key-one")
        for _ in range(2):
            assert (await say(gateway, x_api_key="key-two-key-two"))[0] == 404
            assert (await say(gateway))[0] == 401
            estate.balancer.scorer.recent = Recent(10)  # type: ignore[union-attr]
        assert (await say(gateway, x_api_key="key-one-key-one"))[0] == 200


async def test_who_takes_anothers_request_id_speaks_of_his_own_answer_only(tmp_path: Path) -> None:
    """After a restart, or at another process, an id is taken again: neither from memory nor through the ledger does one
    tenant's opinion reach the other's answer, its story or its place in what is exported."""
    keys = {"one": {"key": "key-one-key-one", "tenant": "one"}, "two": {"key": "key-two-key-two", "tenant": "two"}}
    async with house(tmp_path, keys=keys) as (estate, gateway):
        await ask(gateway, x_api_key="key-one-key-one")
        assert (await say(gateway, b'{"request_id": "r1", "rating": 5}', x_api_key="key-one-key-one"))[0] == 200
    for remembered in (True, False):
        async with house(tmp_path, keys=keys) as (estate, gateway):
            scorer = estate.balancer.scorer
            assert scorer is not None
            await ask(gateway, x_api_key="key-two-key-two")
            await scorer.drained()
            if not remembered:
                scorer.recent = Recent(10)
            status, _ = await say(gateway, b'{"request_id": "r1", "rating": 1}', x_api_key="key-two-key-two")
            assert status == 200
            told = [(await story_of(gateway, f"key-{name}-key-{name}")) for name in ("one", "two")]
            assert [row["tenant"] for row in told[0]["attempts"]] == ["one"]
            assert [
                (of["voice"], of["quality"]) for of in told[0]["attempts"][0]["quality"] if of["voice"] == "rating"
            ] == [("rating", 1.0)]
            assert estate.ledger is not None
            exported = await estate.ledger.query(lambda it: list(records(it, Wanted(where={"tenant": "one"}))))
            assert [row["quality"] for row in exported] == [1.0]
            assert (await say(gateway, x_api_key="key-one-key-one"))[0] == 200


async def test_the_configured_judge_grades_and_is_booked(tmp_path: Path) -> None:
    """Its attempt has a role, a tenant and a request id of its own; the grade replaces the rules."""
    judge = {"backend_type": "function", "function": "tests.shell.scoring.own:grades", "price": {"per_request": 0.002}}
    config = {
        "backend_instances": {"a": ENGINE, "j": judge},
        "routes": {"auto": {"backends": ["a"]}},
        "quality": {"judge": {"backend": "j", "share": 1.0, "max_usd_per_hour": 0.003}},
    }
    async with house(tmp_path, **config) as (estate, gateway):
        await ask(gateway)
        await ask(gateway, "r2")
        scorer = estate.balancer.scorer
        assert scorer is not None
        await scorer.drained()
        (graded,) = (await story(gateway, "r1.judge"))["attempts"]
        assert (graded["role"], graded["tenant"], graded["cost_usd"]) == ("judge", "judge", "0.002000000")
        (attempt,) = (await story(gateway))["attempts"]
        assert [(of["voice"], of["quality"]) for of in attempt["quality"]][1] == ("judge", 0.5)
        assert (await story(gateway, "r2.judge"))["error"]["code"] == "request_not_found"
        assert scorer.status()["judge"]["failed"] == 1  # the allowance of the hour did not reach


async def test_the_report_over_the_admin_listener(tmp_path: Path) -> None:
    """By backend and kind, with what is missing said."""
    async with house(tmp_path) as (estate, gateway):
        for number in range(3):
            await ask(gateway, f"r{number}")
        await estate.balancer.scorer.drained()  # type: ignore[union-attr]
        await estate.ledger.flush()  # type: ignore[union-attr]
        response = await gateway.handle_admin(http("GET", "/admin/quality", query="hours=1"))
        found = json.loads(bytes(response.body))  # type: ignore[arg-type]
        whole = found["lines"][0]
        assert (whole["backend"], whole["kind"], whole["scored"]) == ("a", "all", 3)
        assert whole["note"].startswith("not enough data: 3 scored of 3")
        assert whole["quality"] is None
        assert found["scoring"]["scored"] == 3
        assert (await gateway.handle_admin(http("GET", "/admin/quality", query="hours=nan"))).status == 400


async def test_a_changed_configuration_keeps_scoring_and_labels(tmp_path: Path) -> None:
    """The swap leaves records and labels; the new settings hold."""
    from equipoise.swap import built_beside, take_over

    async with house(tmp_path) as (estate, gateway):
        await ask(gateway)
        await say(gateway)
        said = {"backend_instances": {"a": ENGINE}, "state_dir": str(tmp_path), "quality_sampling_rate": 0.0}
        config = load(said, environ={}).config
        await take_over(estate.balancer, built_beside(config), config)
        scorer = estate.balancer.scorer
        assert scorer is not None
        assert scorer.options.sampling == 0.0
        await ask(gateway, "r2")
        assert (await say(gateway, b'{"request_id": "r2", "rating": 1}'))[0] == 200
        assert [of["voice"] for of in (await story(gateway, "r2"))["attempts"][0]["quality"]] == ["rating"]
        assert (await say(gateway, b'{"request_id": "r1", "rating": 1}'))[1]["counts"]


def test_a_judge_that_does_not_exist_is_told_with_its_place() -> None:
    """Before anything starts."""
    said = {"backend_instances": {"a": ENGINE}, "quality": {"judge": {"backend": "b"}}}
    with pytest.raises(ConfigurationError, match=r"quality\.judge\.backend"):
        load(said, environ={})
