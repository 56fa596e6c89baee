"""Whatever happens to a question, neither its words nor anybody's key leave through logs, metrics, alerts or spans."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from equipoise.gateway.beside import Beside
from equipoise.sandbox import Faults
from equipoise.telemetry import AccessLog, set_up_logging
from equipoise.telemetry.hooks import Hook, Hooks
from equipoise.telemetry.tracing import Tracing, exporter_to
from tests.wire.gateway.fleet import BACKENDS, Fleet
from tests.wire.telemetry.test_pushing import Taker

WORDS, KEY = "marmalade-quokka", "sk-abcdefghijklmnop9876"
QUESTION = f"Tell me of {WORDS}; my key is {KEY}"
FAULTS = (
    Faults(),
    Faults(error_rate=1.0, error_status=500),
    Faults(error_rate=1.0, error_status=401),
    Faults(error_rate=1.0, error_status=429),
)


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    sink = io.StringIO()
    set_up_logging("debug", "json", sink)
    yield sink
    logger = logging.getLogger("equipoise")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    it = Fleet(tmp_path, alerts={"interval_seconds": 0.05, "minimum_requests": 1, "suppression_seconds": 0})
    await it.start()
    yield it
    await it.stop()


def telling(value: Any, context: Any) -> Any:
    raise ValueError(f"a hook that tells what it saw: {QUESTION}")


@pytest.mark.parametrize("style", ["console", "json"])
async def test_no_word_and_no_key_is_written(fleet: Fleet, log: io.StringIO, style: Any) -> None:
    """Answered, failed, refused, throttled, streamed, malformed, explained, hooked, traced."""
    collector = Taker()
    await collector.server.start("127.0.0.1", 0)
    lines = io.StringIO()
    access = AccessLog(lines, style=style)
    tracing = Tracing(exporter_to(collector.url + "/v1/traces", {}), sample_ratio=1.0)
    fleet.estate.balancer.observers += [access.observe, tracing.observe]
    fleet.gateway._beside = Beside(Hooks([Hook("h", telling, 1.0)]), tracing.begin)
    for faults in FAULTS:
        for name in BACKENDS:
            fleet.backends[name].set_faults(faults)
            for stream in (False, True):
                await ask(fleet, {"messages": [{"role": "user", "content": QUESTION}], "model": name, "stream": stream})
    await ask(fleet, {"messages": QUESTION, "model": QUESTION})
    await (await fleet.post("/v1/route/explain", {"question": QUESTION})).read()
    await asyncio.sleep(0.2)
    access.close()
    await asyncio.to_thread(tracing.close)
    await collector.server.drain(0)
    assert fleet.estate.metrics is not None
    assert fleet.estate.alerts is not None
    written = [lines.getvalue(), log.getvalue(), fleet.estate.metrics.render().decode()]
    written += [json.dumps(await fleet.estate.alerts.status()), repr([got.body for got in collector.got])]
    assert all(written[:4])
    assert "KeyOrQuotaRefused" in written[3]
    assert collector.got
    for text in written:
        assert WORDS not in text
        assert "abcdefghijklmnop9876" not in text


async def ask(fleet: Fleet, body: dict[str, Any]) -> None:
    response = await fleet.post("/v1/chat/completions", body, authorization=f"Bearer {KEY}")
    await response.read()
