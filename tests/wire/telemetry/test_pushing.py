"""Metrics reach a push gateway, and dashboards a Grafana, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from equipoise.cli import main
from equipoise.http import Request, Response, Server
from equipoise.telemetry import Metrics
from equipoise.telemetry.grafana import Grafana, Provisioning, Refused, dashboards
from equipoise.telemetry.push import Pusher
from tests.wire.alerts.test_delivery import until


class Taker:
    """A server that takes what it is sent, or answers from a script."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.script: list[Response] = []
        self.server = Server(self._take)

    async def _take(self, request: Request) -> Response:
        self.got.append(request)
        return self.script.pop(0) if self.script else Response(200, (), b'{"url": "/d/x/board"}')

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"


@pytest.fixture
async def taker() -> AsyncIterator[Taker]:
    it = Taker()
    await it.server.start("127.0.0.1", 0)
    yield it
    await it.server.drain(0)


async def test_metrics_are_pushed_again_and_again_and_at_the_end(taker: Taker) -> None:
    """As one group a process, so that gateways do not overwrite each other; the last counts are not lost."""
    metrics = Metrics()
    pusher = Pusher(taker.url + "/gate", metrics.render, job="my job", interval=0.01, instance="a:1")
    await pusher.start()
    await until(lambda: len(taker.got) >= 3)
    metrics.totals.retries = 7
    await pusher.close()
    last = taker.got[-1]
    assert (last.method, last.path) == ("PUT", "/gate/metrics/job/my%20job/instance/a%3A1")
    samples = {s.name: s.value for f in text_string_to_metric_families(last.body.decode()) for s in f.samples}
    assert samples["lb_retries_total"] == 7


async def test_a_push_gateway_that_is_away_is_told_once(taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    """And everything goes on."""
    taker.script = [Response(503, ()) for _ in range(5)]
    pusher = Pusher(taker.url, lambda: b"x 1\n", job="j", interval=0.005)
    with caplog.at_level(logging.WARNING, "equipoise.metrics"):
        await pusher.start()
        await until(lambda: pusher.pushed >= 1)
        await pusher.close()
    assert len(caplog.records) == 1
    assert pusher.error == ""


async def test_dashboards_are_put_into_a_grafana_that_comes_up_late(taker: Taker) -> None:
    """Each once, with the token, into its folder."""
    taker.script = [Response(502, ())] * 2
    provisioning = Provisioning(Grafana(taker.url + "/grafana", "token-1", "folder-1"), pause=0.005)
    await provisioning.start()
    await until(lambda: len(taker.got) == len(dashboards()) + 2)
    await provisioning.close()
    said = [json.loads(got.body) for got in taker.got[2:]]
    assert {of["dashboard"]["uid"] for of in said} == {of["uid"] for of in dashboards().values()}
    assert taker.got[0].path == "/grafana/api/dashboards/db"
    assert taker.got[0].headers[b"authorization"] == b"Bearer token-1"
    assert said[0]["folderUid"] == "folder-1"


async def test_a_grafana_that_refuses_is_not_asked_for_ever(taker: Taker, caplog: pytest.LogCaptureFixture) -> None:
    """401 is told and left."""
    taker.script = [Response(401, ())] * 10
    provisioning = Provisioning(Grafana(taker.url), pause=0.005)
    with caplog.at_level(logging.WARNING, "equipoise.grafana"):
        await provisioning.start()
        await until(lambda: len(caplog.records) == len(dashboards()))
        await provisioning.close()
    assert len(taker.got) == len(dashboards())
    with pytest.raises(Refused):
        await Grafana(taker.url).put({})


async def test_the_command_exports_and_pushes(
    taker: Taker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files for provisioning; or straight into a Grafana."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFANA_API_KEY", "token-2")
    assert await asyncio.to_thread(main, ["dashboards", "export", "out", "--dry-run"]) == 0
    assert not (tmp_path / "out").exists()
    assert await asyncio.to_thread(main, ["dashboards", "export", "out"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(dashboards())
    assert await asyncio.to_thread(main, ["dashboards", "push", "--url", taker.url]) == 0
    assert len(taker.got) == len(dashboards())
    assert taker.got[0].headers[b"authorization"] == b"Bearer token-2"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("GRAFANA_API_URL", "")
    assert await asyncio.to_thread(main, ["dashboards", "push"]) == 2
    capsys.readouterr()
