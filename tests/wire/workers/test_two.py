"""Two workers on one port are one gateway: to clients, to scrapers, to operators."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.wire.workers.conftest import Gateway, Start

BASE = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer", corpus: mine, weight: 1.0}
state_dir: state
log: {level: warning}
"""
ANSWERED = 'lb_requests_total{backend_id="oracle",status="success"}'


@pytest.fixture
def gateway(start: Start) -> Gateway:
    """Two workers that answer."""
    found = start(BASE)
    found.begin()
    return found


@contextmanager
def keep_alive(gateway: Gateway) -> Iterator[Callable[[str], str]]:
    """Ask again and again over one connection: of one worker."""
    host = gateway.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)

    def ask(words: str) -> str:
        body = {"model": "auto", "messages": [{"role": "user", "content": words}]}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        told = json.loads(response.read())
        return told["choices"][0]["message"]["content"] if response.status == 200 else told["error"]["code"]

    yield ask
    connection.close()


def alive(pid: int) -> bool:
    """Is there such a process still?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def refused(gateway: Gateway) -> bool:
    """Does nobody listen any more?"""
    host, _, port = gateway.url.removeprefix("http://").rpartition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) != 0


def test_what_is_counted_adds_up_exactly_and_survives_a_kill(gateway: Gateway) -> None:
    """60 questions are 60 whoever is asked; after kill -9 of a worker they still are, another one is there, and none fails."""
    asked = Counter(gateway.ask()[1] for _ in range(60))
    pids = gateway.workers()
    assert set(map(int, asked)) == set(pids.values())
    assert {gateway.metric(ANSWERED) for _ in range(8)} == {60.0}
    assert gateway.backends()["oracle"]["requests"] == 60
    gateway.kill(0)
    statuses = Counter(gateway.ask()[0] for _ in range(40))
    assert statuses == {200: 40}
    gateway.until(lambda: len(gateway.workers()) == 2)
    assert gateway.workers()[1] == pids[1]
    assert {gateway.metric(ANSWERED) for _ in range(8)} == {100.0}
    assert gateway.metric("equipoise_worker_restarts_total") == 1.0
    assert gateway.metric("equipoise_workers_ready") == 2.0
    code, err = gateway.stop()
    assert code == 0
    assert "worker 0 was killed by SIGKILL" in err


def test_only_what_was_under_way_at_a_killed_worker_fails(gateway: Gateway) -> None:
    """Of twenty questions under way those of the other worker are answered, and no more are cut than were at the dead one."""
    pids = gateway.workers()
    threads, told = gateway.held(20)
    os.kill(pids[1], signal.SIGKILL)
    gateway.until(lambda: pids[1] not in gateway.workers().values())
    gateway.let_go()
    for thread in threads:
        thread.join()
    assert {answer for status, answer in told if status == 200} == {str(pids[0])}
    assert {status for status, _ in told} == {0, 200}
    assert len(told) == 20


def test_a_change_by_an_operator_reaches_all_and_outlives_a_worker(gateway: Gateway) -> None:
    """A weight and a drain hold in both when the answer comes, and in the worker that takes a dead one's place."""
    assert gateway.fetch("/admin/backends/oracle/weight", {"weight": 3}, admin=True)[0] == 200
    assert gateway.backends()["oracle"]["weight"] == 3.0
    assert gateway.fetch("/admin/backends/oracle/drain", {}, admin=True)[0] == 200
    assert {gateway.ask()[0] for _ in range(12)} == {503}
    gateway.kill(0)
    gateway.until(
        lambda: (
            gateway.metric("equipoise_workers_ready") == 2.0
            and gateway.metric("equipoise_worker_restarts_total") == 1.0
        )
    )
    assert {gateway.ask()[0] for _ in range(12)} == {503}
    assert gateway.fetch("/admin/backends/oracle/resume", {}, admin=True)[0] == 200
    assert {gateway.ask()[0] for _ in range(12)} == {200}
    assert gateway.stop()[1].count("lost, because never saved: backend_instances.oracle.weight") == 1


@pytest.mark.parametrize("how", ["SIGHUP", "file"])
def test_a_reload_reaches_both(start: Start, how: str) -> None:
    """A backend that the new file drains is drained in both; a wrong file is refused once and both go on as they were."""
    base = BASE + f"watch_file: {'true' if how == 'file' else 'false'}\n"
    gateway = start(base)
    gateway.begin()

    def replace(text: str) -> None:
        """As a whole: nobody reads half of it."""
        (gateway.folder / "new.yaml").write_text(text)
        (gateway.folder / "new.yaml").replace(gateway.folder / "equipoise.yaml")

    replace(base.replace("weight: 1.0", "weight: 1.0, drained: true"))
    if how == "SIGHUP":
        gateway.process.send_signal(signal.SIGHUP)
    gateway.until(lambda: {gateway.ask()[0] for _ in range(12)} == {503})
    entries = json.loads(gateway.fetch("/admin/audit", admin=True)[1])["entries"]
    assert [(entry["who"], entry["outcome"]) for entry in entries] == [
        ("(SIGHUP)" if how == "SIGHUP" else "(changed file)", "replaced")
    ]
    replace(base.replace("function:", "fumction:"))
    gateway.process.send_signal(signal.SIGHUP)
    gateway.until(lambda: "the new configuration is refused" in (gateway.folder / "stderr").read_text())
    assert {gateway.ask()[0] for _ in range(12)} == {503}
    replace(base)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.until(lambda: {gateway.ask()[0] for _ in range(12)} == {200})


def test_a_breaker_opened_by_hand_is_open_in_both_and_in_the_next(gateway: Gateway) -> None:
    """Nobody asks the backend when the answer comes, in either worker or in one that begins later, until it is closed."""
    assert gateway.fetch("/admin/backends/oracle/open-breaker", {}, admin=True)[0] == 200
    assert {gateway.ask()[0] for _ in range(12)} == {503}
    gateway.kill(1)
    gateway.until(lambda: gateway.metric("equipoise_worker_restarts_total") == 1.0 and len(gateway.workers()) == 2)
    assert {gateway.ask()[0] for _ in range(12)} == {503}
    assert gateway.fetch("/admin/backends/oracle/close-breaker", {}, admin=True)[0] == 200
    assert {gateway.ask()[0] for _ in range(12)} == {200}


def test_what_one_worker_found_out_about_a_backend_the_other_knows(start: Start) -> None:
    """Failures at one worker open the breaker in both within half a second, though the other was never asked."""
    found = start(BASE)
    found.begin()
    with keep_alive(found) as ask:
        for _ in range(5):
            ask("fail")
    opened = 'lb_circuit_breaker_transitions_total{backend_id="oracle",state="open"}'
    found.until(lambda: found.metric(opened) == 2.0, 0.5)
    assert found.metric('lb_circuit_breaker_state{backend_id="oracle"}') == 2.0


def test_an_answer_of_one_worker_is_told_by_the_other(gateway: Gateway) -> None:
    """/v1/requests/{id} knows at once what any worker answered."""
    for _ in range(8):
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        sent = urllib.request.Request(
            gateway.url + "/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(sent) as response:
            number = response.headers["x-request-id"]
        assert gateway.fetch(f"/v1/requests/{number}")[0] == 200


def test_told_to_stop_all_finish_what_they_answer(gateway: Gateway) -> None:
    """SIGTERM: answers under way at both come whole, the exit code is 0, no process is left."""
    pids = gateway.workers()
    threads, told = gateway.held(20)
    gateway.process.send_signal(signal.SIGTERM)
    gateway.until(lambda: refused(gateway))
    gateway.let_go()
    for thread in threads:
        thread.join()
    code, err = gateway.process.wait(30), (gateway.folder / "stderr").read_text()
    assert (code, [status for status, _ in told]) == (0, [200] * 20)
    assert {answer for _, answer in told} == set(map(str, pids.values()))
    assert err.strip().endswith("stopped")
    assert not any(alive(pid) for pid in pids.values())


def test_workers_do_not_outlive_their_parent(gateway: Gateway) -> None:
    """A parent that is killed leaves nobody behind who holds the port."""
    pids = gateway.workers()
    gateway.process.kill()
    gateway.process.wait()
    gateway.until(lambda: not any(alive(pid) for pid in pids.values()))


def test_a_port_that_another_gateway_has_is_refused(gateway: Gateway, start: Start) -> None:
    """Sharing a port is for workers of one parent: a second gateway says that it is taken, and ends with 2."""
    port = gateway.url.rpartition(":")[2]
    second = start(BASE, port=port)
    assert second.process.wait(20) == 2
    assert "cannot listen on 127.0.0.1" in (second.folder / "stderr").read_text()


def test_workers_that_cannot_begin_end_the_parent_with_their_words(start: Start) -> None:
    """What is wrong is said by the worker, the parent ends with its code and does not try for ever."""
    found = start(BASE.replace("answers:answer", "answers:nothing"))
    assert found.process.wait(20) == 2
    err = (found.folder / "stderr").read_text()
    assert "nothing" in err
    assert "cannot be kept running" in err


def test_one_process_is_as_it_was(start: Start) -> None:
    """--workers 1 has no parent: the process that was started answers itself, and metrics say nothing of workers."""
    found = start(BASE, workers=1)
    found.begin()
    assert found.ask() == (200, str(found.process.pid))
    assert "equipoise_workers" not in found.fetch("/metrics")[1]


def test_a_purge_reaches_the_kept_answers_of_both(start: Start) -> None:
    """Each worker keeps the answer it gave; one call lets go of both, and says so."""
    found = start(BASE + "routes: {auto: {cache: true}}\n")
    found.begin()
    assert {found.ask()[0] for _ in range(24)} == {200}
    found.until(lambda: found.metric('lb_cache_requests_total{result="miss"}') == 2.0)
    status, told = found.fetch("/admin/cache/purge", {}, admin=True)
    assert (status, json.loads(told)) == (200, {"done": "purge", "answers": 2})
