"""A running gateway takes up another configuration, and nobody who asks it notices."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from equipoise.cli.reloading import Reloading, files_of, signature
from equipoise.cli.running import Running
from equipoise.config.load import load
from tests.patience import until, until_true
from tests.shell.cli.conftest import Served, start

SLOW = """\
import asyncio

async def answer(question):
    await asyncio.sleep(0.03)
    return "forty-two"
"""
HEAD = "strategy: weighted\nstate_dir: state  # kept here\nbackend_instances:\n"
UNWATCHED = "watch_file: false\n"


def text(*names: str, weight: float = 1.0, watched: bool = False) -> str:
    """A configuration of slow functions; unless it is watched, nothing is taken up before it is told to be."""
    lines = [
        f'  {name}: {{backend_type: function, function: "slow:answer", weight: {weight}, corpus: mine}}  # {name}\n'
        for name in names
    ]
    return ("" if watched else UNWATCHED) + HEAD + "".join(lines)


def call(url: str, body: Any = None) -> tuple[int, Any]:
    """Status and document; a body makes it a POST."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def settings_of(served: Served) -> dict[str, Any]:
    return dict(call(served.url + "/health")[1]["configuration"])


@pytest.fixture
def file(folder: Path) -> Path:
    (folder / "slow.py").write_text(SLOW)
    path = folder / "equipoise.yaml"
    path.write_text(text("a", "b"))
    return path


@contextmanager
def serving(folder: Path) -> Iterator[Served]:
    process = start("serve", "--port", "0", folder=folder)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    try:
        yield served
    finally:
        if process.poll() is None:
            served.stop()


@pytest.fixture
def gateway(file: Path) -> Iterator[Served]:
    with serving(file.parent) as served:
        yield served


class Crowd:
    """Clients that ask all the time, in threads; `failed` holds whatever was no answer."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self._url, self.answered, self.failed = url + "/v1/chat/completions", 0, list[Any]()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        body = {"model": "auto", "messages": [{"role": "user", "content": "six times seven?"}]}
        while not self._over.is_set():
            try:
                status, told = call(self._url, body)
            except OSError as error:
                status, told = 0, repr(error)
            self.answered += 1
            if status != 200:
                self.failed.append(told)


def test_no_question_fails_while_the_configuration_changes_twenty_times(gateway: Served, file: Path) -> None:
    """Backends come and go, weights change, by signal and by command; every question asked meanwhile is answered."""
    fleets = [("a", "b"), ("b", "c"), ("c",), ("a", "c")]
    with Crowd(gateway.url) as crowd:
        for turn in range(20):
            file.write_text(text(*fleets[turn % 4], weight=turn + 2, watched=True))
            if turn % 2:
                assert call(gateway.admin_url + "/admin/reload", {})[0] == 200
            else:
                gateway.process.send_signal(signal.SIGHUP)
            until_true(lambda turn=turn: settings_of(gateway)["replaced"] > turn)  # type: ignore[misc]
        before = crowd.answered
        until_true(lambda: crowd.answered > before + 4)
    assert crowd.failed == []
    assert crowd.answered > 40
    rows = call(gateway.admin_url + "/admin/backends")[1]["backends"]
    assert {row["id"] for row in rows} == {"a", "c"}
    assert gateway.stop()[0] == 0


def test_a_changed_file_is_taken_up_by_itself_also_behind_a_link(file: Path) -> None:
    """As Kubernetes changes a ConfigMap: the file is a link into a directory that is itself a link, swapped at once."""
    for name, weight in (("one", 1.0), ("two", 7.0)):
        (file.parent / name).mkdir()
        (file.parent / name / "equipoise.yaml").write_text(text("a", weight=weight, watched=True))
    file.unlink()
    (file.parent / "..data").symlink_to("one")
    file.symlink_to("..data/equipoise.yaml")
    with serving(file.parent) as served:
        (file.parent / "..next").symlink_to("two")
        os.replace(file.parent / "..next", file.parent / "..data")
        until_true(lambda: settings_of(served)["replaced"] == 1)
        dump = call(served.admin_url + "/admin/config_dump")[1]
        assert dump["config"]["backend_instances"]["a"]["weight"] == 7.0


def test_a_wrong_file_changes_nothing_and_health_says_so(gateway: Served, file: Path) -> None:
    """The old configuration answers on; every problem is told; a good file ends it."""
    assert call(gateway.admin_url + "/admin/backends")[0] == 200
    file.write_text(text("a").replace("weight:", "wieght:"))
    status, told = call(gateway.admin_url + "/admin/reload", {})
    assert (status, told["error"]["code"]) == (409, "configuration_refused")
    assert "did you mean weight?" in told["error"]["message"]
    status, health = call(gateway.url + "/health")
    assert (status, health["status"]) == (200, "healthy")
    assert "wieght" in health["configuration"]["refused"]["why"]
    assert {row["id"] for row in health["backends"]} == {"a", "b"}
    file.write_text(text("a"))
    assert call(gateway.admin_url + "/admin/reload", {})[1]["outcome"] == "replaced"
    assert settings_of(gateway)["refused"] is None


def test_reloads_that_nobody_asked_for_by_name_are_in_the_audit_journal(file: Path) -> None:
    """By signal and by a changed file: what changed, or that it was refused; one that changes nothing is no entry."""
    file.write_text(text("a", "b", watched=True))
    with serving(file.parent) as gateway:
        _reload_as_nobody(gateway, file)


def _reload_as_nobody(gateway: Served, file: Path) -> None:
    def entries() -> list[tuple[str, str, Any]]:
        found = call(gateway.admin_url + "/admin/audit")[1]["entries"]
        return [(entry["who"], entry["outcome"], entry["changed"].get("backend_instances.a.weight")) for entry in found]

    file.write_text(text("a", "b", weight=2.0))
    until_true(lambda: len(entries()) == 1)
    file.write_text(text("a", "b", weight=-1.0))
    gateway.process.send_signal(signal.SIGHUP)
    until_true(lambda: len(entries()) == 2)
    file.write_text(text("a", "b", weight=3.0))
    gateway.process.send_signal(signal.SIGHUP)
    until_true(lambda: len(entries()) == 3)
    gateway.process.send_signal(signal.SIGHUP)
    assert call(gateway.admin_url + "/admin/reload", {})[1]["outcome"] == "unchanged"
    assert entries() == [
        ("local", "unchanged", None),
        ("(SIGHUP)", "replaced", [2.0, 3.0]),
        ("(SIGHUP)", "refused: configuration_refused", None),
        ("(changed file)", "replaced", [1.0, 2.0]),
    ]


def test_what_was_remembered_of_a_backend_that_stays_is_kept(gateway: Served, file: Path) -> None:
    """Its totals go on."""
    body = {"model": "a", "messages": [{"role": "user", "content": "six times seven?"}]}
    assert call(gateway.url + "/v1/chat/completions", body)[0] == 200
    before = {row["id"]: row for row in call(gateway.admin_url + "/admin/backends")[1]["backends"]}["a"]
    file.write_text(text("a", "c"))
    assert call(gateway.admin_url + "/admin/reload", {})[1]["outcome"] == "replaced"
    after = {row["id"]: row for row in call(gateway.admin_url + "/admin/backends")[1]["backends"]}["a"]
    counts = [name for name, value in before.items() if isinstance(value, int) and not isinstance(value, bool)]
    assert counts
    assert {name: after[name] for name in counts} == {name: before[name] for name in counts}
    metrics = urllib.request.urlopen(gateway.url + "/metrics", timeout=10).read().decode()
    assert 'lb_requests_total{backend_id="a"' in metrics
    assert 'lb_backend_health_score{backend_id="c"' in metrics


def test_changes_at_run_time_outlive_a_reload_and_are_written_back(gateway: Served, file: Path) -> None:
    """An overlay that the dump shows with its origin; saving keeps the file's comments."""
    admin = gateway.admin_url
    assert call(admin + "/admin/config", {"set": {"backend_instances.a.weight": 5}})[1]["outcome"] == "replaced"
    assert call(admin + "/admin/backends/b/drain", {})[0] == 200
    file.write_text(file.read_text().replace("strategy: weighted", "strategy: round_robin"))
    assert call(admin + "/admin/reload", {})[1]["outcome"] == "replaced"
    dump = call(admin + "/admin/config_dump")[1]
    assert dump["config"]["strategy"] == "round_robin"
    assert dump["config"]["backend_instances"]["a"]["weight"] == 5
    assert dump["origins"]["backend_instances.a.weight"] == "changed at run time"
    assert {row["id"]: row["draining"] for row in call(admin + "/admin/backends")[1]["backends"]}["b"]
    assert [change["field"] for change in dump["changes"]] == [
        "backend_instances.a.weight",
        "backend_instances.b.drained",
    ]
    assert call(admin + "/admin/save", {})[1]["saved"] == [change["field"] for change in dump["changes"]]
    saved = file.read_text()
    assert "# kept here" in saved
    assert "weight: 5" in saved
    assert "drained: true" in saved
    assert call(admin + "/admin/config_dump")[1]["changes"] == []
    assert call(admin + "/admin/backends/b/resume", {})[0] == 200
    assert "backend_instances.b.drained = False" in gateway.stop()[2]


def test_a_weight_is_changed_at_once_and_kept_like_any_other_change(gateway: Served, file: Path) -> None:
    """It outlives a reload of a changed file and is written back on save; none at all is what a drain is for."""
    admin = gateway.admin_url
    status, told = call(admin + "/admin/backends/a/weight", {"weight": 4.5})
    assert (status, told["backend"]["weight"]) == (200, 4.5)
    file.write_text(file.read_text().replace("strategy: weighted", "strategy: round_robin"))
    assert call(admin + "/admin/reload", {})[0] == 200
    assert {row["id"]: row["weight"] for row in call(admin + "/admin/backends")[1]["backends"]}["a"] == 4.5
    assert call(admin + "/admin/backends/a/weight", {"weight": 0})[0] == 400
    assert call(admin + "/admin/save", {})[1]["saved"] == ["backend_instances.a.weight"]
    assert "weight: 4.5" in file.read_text()


def test_a_change_of_a_backend_that_is_gone_is_dropped_with_a_warning(gateway: Served, file: Path) -> None:
    """Never silently."""
    assert call(gateway.admin_url + "/admin/config", {"set": {"backend_instances.b.weight": 5}})[0] == 200
    file.write_text(text("a"))
    told = call(gateway.admin_url + "/admin/reload", {})[1]
    assert told["warnings"][0].startswith("backend_instances.b.weight: a change made at run time")
    assert call(gateway.admin_url + "/admin/config_dump")[1]["changes"] == []


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"set": {"backend_instances.a.function": "os:system"}}, 400),
        ({"set": {"backend_instances.a.endpoint_url": "http://elsewhere"}}, 400),
        ({"set": {"listen.host": "0.0.0.0"}}, 400),
        ({"set": {"backend_instances.nobody.weight": 1}}, 404),
        ({"set": {"backend_instances.a.weight": -1}}, 409),
        ({"set": {"backend_instances.a.weight": 3}, "dry_run": True}, 200),
        ({"unset": ["backend_instances.a.weight"]}, 200),
        ({"sets": {}}, 400),
    ],
)
def test_only_numbers_and_switches_change_at_run_time(gateway: Served, wanted: dict[str, Any], status: int) -> None:
    """Neither code nor addresses nor keys; and nothing that is wrong, nor anything by a dry run."""
    assert call(gateway.admin_url + "/admin/config", wanted)[0] == status
    dump = call(gateway.admin_url + "/admin/config_dump")[1]
    assert dump["config"]["backend_instances"]["a"]["weight"] == 1.0
    assert settings_of(gateway)["refused"] is None


def test_a_read_only_configuration_is_changed_by_its_file_alone(gateway: Served, file: Path) -> None:
    """403 for every other change."""
    file.write_text("read_only: true\n" + file.read_text())
    assert call(gateway.admin_url + "/admin/reload", {})[0] == 200
    for path, body in (
        ("backends/a/drain", {}),
        ("backends/a/weight", {"weight": 3}),
        ("config", {"set": {"strategy": "weighted"}}),
        ("save", {}),
    ):
        status, told = call(f"{gateway.admin_url}/admin/{path}", body)
        assert (status, told["error"]["code"]) == (403, "read_only")
    assert not any(row["draining"] for row in call(gateway.admin_url + "/admin/backends")[1]["backends"])


def test_what_needs_a_restart_is_named(gateway: Served, file: Path) -> None:
    """A new port is not taken, and that is said."""
    file.write_text(file.read_text() + "listen: {drain_seconds: 7}\n")
    assert call(gateway.admin_url + "/admin/reload", {})[1]["needs_restart"] == ["listen.drain_seconds"]


def test_a_rotated_secret_is_taken_up(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in a file of its own, as Kubernetes mounts a Secret; the old key is good no more."""
    (file.parent / "secret").write_text("the-first-key-of-two")
    file.write_text(text("a", watched=True) + "keys: {ann: {key: file:secret}}\n")
    process = start("serve", "--port", "0", folder=file.parent)
    assert process.stdout is not None
    served = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])

    def status(key: str) -> int:
        request = urllib.request.Request(served.url + "/v1/models", headers={"x-api-key": key})
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    try:
        assert status("the-first-key-of-two") == 200
        (file.parent / "secret").write_text("the-second-key-of-two")
        until_true(lambda: status("the-second-key-of-two") == 200)
        assert status("the-first-key-of-two") == 401
    finally:
        _, out, err = served.stop()
    assert "key-of-two" not in out + err


async def test_what_changes_before_the_first_look_is_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the start and the first look at the files, too, which on a busy machine may be a while."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "equipoise.yaml"
    file.write_text(HEAD + "  a: {backend_type: function, function: json:loads}\n")
    asked: list[str] = []

    class Told:
        loaded, auditor = load(file, environ={}), None

        async def reload(self) -> None:
            asked.append(file.read_text())

        async def close(self) -> None:
            """Nothing is open."""

    watching = Reloading(cast(Running, Told()), signature(files_of(Told.loaded)), interval=0.01)
    file.write_text(file.read_text() + "# changed\n")
    async with watching:
        await until(lambda: asked)
    assert "# changed" in asked[0]
