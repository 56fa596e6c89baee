"""Admin keys have roles, and what people do is written down."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.callers import SOMEBODY_HERE, Caller, Role
from equipoise.gateway import ClientKeys, openapi
from equipoise.gateway.auditing import Auditor, _said
from equipoise.gateway.keys import digest
from equipoise.gateway.people import STEERING, People, needed
from equipoise.stores.audit import AuditEntry, AuditStore
from tests.patience import until
from tests.shell.gateway.scripted import ScriptedBalancer, gateway_of, http, whole

KEYS = {role: f"the-{role.value}-key" for role in Role}
MAY_LOOK = {operation.path for operation in openapi.ADMIN if operation.method == "get"} | {"/admin/route/explain"}
MAY_STEER = {
    "/admin/backends/{id}/drain",
    "/admin/backends/{id}/resume",
    "/admin/backends/{id}/weight",
    "/admin/backends/{id}/open-breaker",
    "/admin/backends/{id}/close-breaker",
    "/admin/alerts/ack",
    "/admin/alerts/test",
    "/admin/canary/pause",
    "/admin/canary/abort",
    "/admin/migration/rollback",
    "/admin/migration/checks",
}
PAIRS = [(operation.method.upper(), operation.path) for operation in openapi.ADMIN]


def people(wall: float = 0.0) -> People:
    callers = {digest(key): Caller(key=role.value, role=role) for role, key in KEYS.items()}
    callers[digest("gone")] = Caller(key="gone", role=Role.ADMIN, expires=10.0)
    callers[digest("a-client")] = Caller(key="client")
    return People(ClientKeys(callers, wall=lambda: wall))


async def done(path: str, key: str | None, *, method: str = "POST", **options: Any) -> tuple[int, Any]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = http(method, path, options.pop("body", b""), **headers)
    response = await gateway_of(options.pop("balancer", ScriptedBalancer()), **options).handle_admin(request)
    body = await whole(response)
    return response.status, json.loads(body) if body else None


@pytest.mark.parametrize(("method", "path"), PAIRS)
@pytest.mark.parametrize("role", list(Role))
def test_every_operation_takes_a_role(method: str, path: str, role: Role) -> None:
    """view looks; operate takes load and risk away; everything else, and whatever comes later, is admin's."""
    wanted = Role.VIEW if path in MAY_LOOK else Role.OPERATE if path in MAY_STEER else Role.ADMIN
    assert role.covers(needed(method, path.replace("{id}", "papers"))) == (
        list(Role).index(role) >= list(Role).index(wanted)
    )


@given(st.text(), st.sampled_from(["POST", "PUT", "DELETE", "PATCH", "post"]))
def test_what_nobody_thought_of_is_admins(path: str, method: str) -> None:
    """Unless it ends like one of three commands on a backend, and then it is no more than that."""
    if not any(path.endswith(verb) for verb in STEERING):
        assert needed(method, f"/admin/backends/{path}") is Role.ADMIN
    assert needed(method, f"/admin/{path}/drain"[:7] + "x") is Role.ADMIN


@pytest.mark.parametrize(
    ("key", "path", "status"),
    [
        (None, "drain", 401),
        ("wrong", "drain", 401),
        ("a-client", "drain", 401),
        ("gone", "drain", 401),
        (KEYS[Role.VIEW], "drain", 403),
        (KEYS[Role.OPERATE], "drain", 200),
        (KEYS[Role.ADMIN], "drain", 200),
        (KEYS[Role.OPERATE], "remove", 403),
        (KEYS[Role.OPERATE], "..%2Fremove", 403),
        (KEYS[Role.OPERATE], "explode", 403),
    ],
)
async def test_a_role_suffices_or_nothing_happens(key: str | None, path: str, status: int) -> None:
    """Strangers, expired keys and keys of clients are nobody; a role that is too small is said to be."""
    balancer = ScriptedBalancer()
    answer = await done(f"/admin/backends/graph-a/{path}", key, balancer=balancer, people=people(wall=20.0))
    assert answer[0] == status
    assert balancer.commands == ([("drain", "graph-a")] if status == 200 else [])
    if status == 403:
        assert answer[1]["error"]["code"] == "role_not_sufficient"


@pytest.mark.parametrize(("method", "path"), [pair for pair in PAIRS if pair[0] == "GET"])
async def test_nothing_is_shown_to_strangers(method: str, path: str) -> None:
    """Every page for operators wants a key where there is one."""
    assert (await done(path, "wrong", method=method, people=people()))[0] == 401


def test_without_keys_it_is_somebody_on_this_machine() -> None:
    """Who may everything that needs no key; a session counts only where its opener has a role."""
    assert People().who(http("GET", "/admin/stats")) == SOMEBODY_HERE
    found = people()
    assert found.who(http("GET", "/admin/stats")) is None
    found.sessions.append(lambda request: Caller(key="ann", role=Role.VIEW))
    assert found.require(http("GET", "/admin/stats")).key == "ann"
    found.sessions[:] = [lambda request: Caller(key="client")]
    assert found.who(http("GET", "/admin/stats")) is None


class Watched:
    """A gateway whose weight of a backend can be looked at, with its journal."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.balancer, self.store = ScriptedBalancer(), AuditStore(path / "audit.sqlite3")
        self.troubles: list[str] = []
        self.auditor = Auditor(self.store, self.snapshot, self.troubles.append, clock=lambda: 0.0)
        self.options = {"people": people(), "auditor": self.auditor, "balancer": self.balancer, **options}

    def snapshot(self) -> dict[str, Any]:
        drained = sum(1 if verb == "drain" else -1 for verb, _ in self.balancer.commands)
        return {"graph-a is drained": drained > 0, "stays": 1}

    async def do(self, path: str, key: str | None, **options: Any) -> AuditEntry:
        await done(path, key, **self.options, **options)
        return self.store.entries()[0]


async def test_an_action_is_written_down_with_who_what_before_and_after(tmp_path: Path) -> None:
    """And nothing that did not change."""
    found = await Watched(tmp_path).do("/admin/backends/graph-a/drain", KEYS[Role.OPERATE])
    assert (found.who, found.role, found.action, found.target) == (
        "operate",
        "operate",
        "POST /admin/backends/graph-a/drain",
        "graph-a",
    )
    assert (found.outcome, found.changed, found.address) == ("done", {"graph-a is drained": (False, True)}, "127.0.0.1")
    assert found.wall > 0


@pytest.mark.parametrize(
    ("path", "key", "who", "outcome"),
    [
        ("/admin/backends/graph-a/drain", None, "", "refused: invalid_api_key"),
        ("/admin/backends/graph-a/drain", KEYS[Role.VIEW], "view", "refused: role_not_sufficient"),
        ("/admin/backends/nobody/drain", KEYS[Role.ADMIN], "admin", "refused: backend_not_found"),
        ("/admin/nothing", KEYS[Role.ADMIN], "admin", "refused: not_found"),
    ],
)
async def test_what_was_refused_is_written_down_too(
    tmp_path: Path, path: str, key: str | None, who: str, outcome: str
) -> None:
    """With the reason; a stranger has no name."""
    found = await Watched(tmp_path).do(path, key)
    assert (found.who, found.outcome, found.changed) == (who, outcome, {})


async def test_looking_is_no_action_unless_it_is_refused(tmp_path: Path) -> None:
    """A dashboard that asks every second leaves no trace; a stranger who asks does."""
    watched = Watched(tmp_path)
    assert (await done("/admin/backends", KEYS[Role.VIEW], method="GET", **watched.options))[0] == 200
    assert watched.store.entries() == []
    assert (await watched.do("/admin/backends", "wrong", method="GET")).outcome == "refused: invalid_api_key"
    assert (await done("/admin/audit", KEYS[Role.VIEW], method="GET", **watched.options))[1]["broken_at"] is None


async def test_a_stranger_cannot_push_out_what_was_done(tmp_path: Path) -> None:
    """A bounded number of refusals a minute is written down."""
    watched = Watched(tmp_path)
    await watched.do("/admin/backends/graph-a/drain", KEYS[Role.ADMIN])
    for number in range(60):
        await done(f"/admin/backends/{number}/drain", "wrong", **watched.options)
    entries = watched.store.entries()
    assert (len(entries), entries[-1].who) == (11, "admin")


async def test_an_action_is_done_even_where_it_cannot_be_written_down(tmp_path: Path) -> None:
    """The entry then stands in the log."""
    (tmp_path / "audit.sqlite3").mkdir()
    watched = Watched(tmp_path)
    assert (await done("/admin/backends/graph-a/drain", KEYS[Role.ADMIN], **watched.options))[0] == 200
    assert "graph-a is drained" in watched.troubles[0]


async def test_an_action_whose_client_goes_away_is_written_down(tmp_path: Path) -> None:
    """It may have been done."""

    begun = asyncio.Event()

    async def never(*args: Any, **named: Any) -> None:
        begun.set()
        await asyncio.sleep(3600)

    watched = Watched(tmp_path, steer=never)
    asking = asyncio.ensure_future(done("/admin/backends/graph-a/drain", KEYS[Role.ADMIN], **watched.options))
    await begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    await until(watched.store.entries)
    assert watched.store.entries()[0].outcome == "cut: the client went away"


SECRET = "hunter2-Correct-Horse"
values = st.recursive(
    st.just(SECRET) | st.integers() | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["set", "settings", "candidate", "api_key", "headers", "weight", "note", "whatever", "value"])


@given(st.dictionaries(names, values, max_size=6))
def test_no_value_of_a_body_reaches_the_journal(body: dict[str, Any]) -> None:
    """Numbers, a few texts by name, and names of fields do; a secret in any other place never."""
    assert SECRET not in json.dumps(_said(json.dumps(body).encode()), ensure_ascii=False)


@given(st.binary(max_size=200))
def test_any_body_can_be_looked_at(body: bytes) -> None:
    """Whatever a stranger sends is a record or nothing."""
    assert isinstance(_said(body), dict)
    assert _said(b"[" * 100_000) == {}


async def test_a_strangers_words_are_harmless_in_the_journal(tmp_path: Path) -> None:
    """No control characters, no terminal's escapes, bounded."""
    watched = Watched(tmp_path)
    body = json.dumps({"why": "\x1b]0;owned\x07\n2026 INFO all is well" + "x" * 9_000}).encode()
    found = await watched.do("/admin/backends/%1b[31mred/drain", KEYS[Role.ADMIN], body=body)
    assert found.target.isprintable()
    assert found.said["why"].isprintable()
    assert len(found.said["why"]) <= 200
