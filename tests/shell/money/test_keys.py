"""Keys are shown once, kept as digests, found in constant time, and do no more than they may."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from equipoise.cli import main
from equipoise.core.callers import Caller
from equipoise.core.model import Question, Request
from equipoise.core.routing import Route
from equipoise.gateway.keyring import Keyring
from equipoise.gateway.keys import ClientKeys, digest
from equipoise.stores.keys import KeyStore, NoSuchKey, StoredKey, checksum, hint_of, new_secret
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import StateStore

NOW = 1_800_000_000.0
CONFIGURATION = """\
backend_instances:
  web: {{backend_type: perplexity, price: {{input: 1}}}}
routes:
  auto: {{}}
  cheap: {{strategy: cost_optimized}}
keys:
  filed: {{key: a-key-of-the-file, tenant: ann, routes: [cheap], expires: 2050-01-01}}
state_dir: {state}
"""


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def store(tmp_path: Path, clock: Time) -> Any:
    state = StateStore(tmp_path / "state.sqlite3", wall=clock)
    yield KeyStore(state, clock)
    state.close()


def shown(key: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + key.encode()}


def good(store: KeyStore, clock: Time) -> ClientKeys:
    return ClientKeys(dict(pair for key in store.all() for pair in key.callers()), clock)


def test_a_secret_is_random_and_a_scanner_can_find_it() -> None:
    """A prefix, 256 bits, and a checksum that noise has not; no two are alike."""
    made = [new_secret() for _ in range(200)]
    assert len(set(made)) == 200
    for key in made:
        assert re.fullmatch(r"sk-eq-[0-9A-Za-z]{49}", key)
        assert checksum(key[6:-6]) == key[-6:]
    assert len(hint_of(made[0])) == 15


def test_only_digests_are_stored(store: KeyStore, tmp_path: Path) -> None:
    """Whoever reads the file has no key; the store tells it once."""
    secret, made = store.create(StoredKey(name="laptop"))
    store._store.close()
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in files
    assert secret[6:-6].encode() not in files
    assert made.secrets[0].sha256.encode() in files
    assert secret not in repr(made)


def test_a_key_is_good_until_it_is_revoked_or_expires(store: KeyStore, clock: Time) -> None:
    """On its terms; a revoked one for ever, under a name that nobody gets again."""
    secret, _ = store.create(StoredKey(name="laptop", tenant="ann", expires=NOW + 60, routes=("cheap",)))
    keys = good(store, clock)
    caller = keys.caller(shown(secret))
    assert caller == Caller(key="laptop", tenant="ann", expires=NOW + 60, routes=frozenset({"cheap"}))
    assert keys.tenant(shown(secret)) == "ann"
    clock.now = NOW + 60
    assert keys.tenant(shown(secret)) is None
    clock.now = NOW
    store.revoke("laptop")
    assert good(store, clock).caller(shown(secret)) is None
    with pytest.raises(NoSuchKey, match="was revoked"):
        store.rotate("laptop")
    with pytest.raises(NoSuchKey, match="already"):
        store.create(StoredKey(name="laptop"))


def test_a_rotated_key_has_two_secrets_for_a_while(store: KeyStore, clock: Time) -> None:
    """The former one until the grace is over; a second rotation does not prolong it; the terms stay."""
    first, _ = store.create(StoredKey(name="ci", tenant="bob"))
    second, _ = store.rotate("ci", 100.0)
    clock.now = NOW + 50
    third, made = store.rotate("ci", 100.0)
    keys = good(store, clock)
    assert [keys.tenant(shown(key)) for key in (first, second, third)] == ["bob"] * 3
    clock.now = NOW + 101
    assert [keys.tenant(shown(key)) for key in (first, second, third)] == [None, "bob", "bob"]
    clock.now = NOW + 151
    assert [keys.tenant(shown(key)) for key in (first, second, third)] == [None, None, "bob"]
    assert len(made.secrets) == 3
    assert len(store.rotate("ci", 0.0)[1].secrets) == 1


def test_a_key_that_is_none_is_no_key(store: KeyStore, clock: Time) -> None:
    """Neither nothing, nor the digest itself, nor a key with one more sign, nor one of a megabyte."""
    secret, made = store.create(StoredKey(name="laptop"))
    keys = good(store, clock)
    for wrong in ("", secret + "x", secret[:-1], made.secrets[0].sha256, "x" * 10**6):
        assert keys.caller(shown(wrong)) is None
    assert keys.caller({}) is None
    assert keys.caller({b"x-api-key": secret.encode()}) is not None


def asked(route: str, strategy: str | None = None, pinned: str | None = None) -> Request:
    return Request(id="r", question=Question(messages=[]), route=route, strategy=strategy, pinned=pinned)


@pytest.mark.parametrize(
    ("caller", "request_", "code"),
    [
        (Caller(), asked("auto"), None),
        (Caller(routes=frozenset({"cheap"})), asked("cheap"), None),
        (Caller(routes=frozenset({"cheap"})), asked("auto"), "route_not_allowed"),
        (Caller(routes=frozenset({"auto"})), asked("auto", pinned="web"), "route_not_allowed"),
        (Caller(routes=frozenset({"web"})), asked("auto", pinned="web"), None),
        (Caller(strategies=frozenset({"cost_optimized"})), asked("cheap"), None),
        (Caller(strategies=frozenset({"cost_optimized"})), asked("auto"), "strategy_not_allowed"),
        (Caller(strategies=frozenset({"cost_optimized"})), asked("auto", "cost_optimized"), None),
        (Caller(strategies=frozenset({"cost_optimized"})), asked("cheap", "weighted"), "strategy_not_allowed"),
        (Caller(strategies=frozenset()), asked("auto", pinned="web"), None),
    ],
)
def test_a_key_asks_what_it_may(caller: Caller, request_: Request, code: str | None) -> None:
    """Routes, backends by name, and strategies, the route's own included."""
    routes = {
        "auto": Route(name="auto", backends=("web",), strategy="weighted"),
        "cheap": Route(name="cheap", backends=("web",), strategy="cost_optimized"),
    }
    refused = caller.refusal(request_, routes)
    assert (refused and refused[0]) == code


async def test_a_running_gateway_learns_of_keys_and_their_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, then revoked by another process; without any at first, and never open again once there was one."""
    monkeypatch.setattr("equipoise.gateway.keyring.LOOK_EVERY", 0.01)
    heard: list[ClientKeys | None] = []
    ring = Keyring(tmp_path / "state.sqlite3", {})
    assert ring.keys is None
    ring.tell(heard.append)
    await ring.start()
    other = StateStore(tmp_path / "state.sqlite3")
    secret, _ = KeyStore(other).create(StoredKey(name="laptop", tenant="ann"))
    while not heard:
        await asyncio.sleep(0.01)
    assert heard[-1] is not None
    assert heard[-1].tenant(shown(secret)) == "ann"
    KeyStore(other).revoke("laptop")
    while len(heard) < 2:
        await asyncio.sleep(0.01)
    assert heard[-1] is not None
    assert heard[-1].tenant(shown(secret)) is None
    ring.configure({digest("of-the-file"): Caller(tenant="bob")})
    assert heard[-1] is not None
    assert heard[-1].tenant(shown("of-the-file")) == "bob"
    await ring.close()
    other.close()


async def test_keys_that_cannot_be_read_for_a_while_stay_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trouble is told once, nobody is let in and nobody is shut out by it; at the start it is an error."""
    monkeypatch.setattr("equipoise.gateway.keyring.LOOK_EVERY", 0.01)
    path, told = tmp_path / "state.sqlite3", list[str]()
    state = StateStore(path)
    secret, _ = KeyStore(state).create(StoredKey(name="laptop"))
    state.close()
    ring = Keyring(path, {}, told.append)
    before = ring.keys
    assert before is not None

    def broken() -> None:
        raise StoreError("disk gone")

    monkeypatch.setattr(ring._store, "look", broken)
    await ring.start()
    while not told:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(told) == 1
    assert ring.keys is not None
    assert ring.keys.tenant(shown(secret)) == "default"
    await ring.close()
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        Keyring(path, {})


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "equipoise.yaml"
    path.write_text(CONFIGURATION.format(state=tmp_path / "state"))
    return str(path)


def test_the_command_makes_lists_rotates_and_revokes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret alone on stdout, once; never in a list."""
    assert (
        main(["keys", "create", "laptop", "--tenant", "bob", "--routes", "cheap", "--expires", "90d", "-c", file]) == 0
    )
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("sk-eq-")
    assert main(["keys", "ls", "-c", file, "--json"]) == 0
    out = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads(out)}
    assert secret not in out
    assert "a-key-of-the-file" not in out
    assert (rows["laptop"]["routes"], rows["laptop"]["from"], rows["filed"]["from"]) == (
        ["cheap"],
        "state store",
        "configuration",
    )
    assert rows["filed"]["expires"].startswith("2050-01-01")
    assert main(["keys", "rotate", "laptop", "--grace", "0s", "-c", file]) == 0
    assert capsys.readouterr().out.strip() != secret
    assert main(["keys", "revoke", "laptop", "-c", file]) == 4
    assert main(["keys", "revoke", "laptop", "--yes", "-c", file]) == 0
    capsys.readouterr()
    assert main(["keys", "ls", "-c", file, "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["filed"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "filed"),
        ("create", "no name"),
        ("create", "x", "--routes", "nowhere"),
        ("create", "x", "--strategies", "luck"),
        ("create", "x", "--expires", "2001-01-01"),
        ("create", "x", "--requests-per-minute", "0"),
        ("revoke", "nobody", "--yes"),
        ("rotate", "filed"),
    ],
)
def test_what_makes_no_sense_is_refused(file: str, arguments: tuple[str, ...]) -> None:
    """Exit code 2, nothing made."""
    assert main(["keys", *arguments, "-c", file]) == 2


def test_a_dry_run_makes_nothing(file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what the key would be."""
    assert main(["keys", "create", "laptop", "--dry-run", "-c", file]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "laptop"
    assert not (tmp_path / "state").exists()
