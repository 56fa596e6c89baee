"""One line a request, soon, unforgeable, without secrets; never in the request's way."""

from __future__ import annotations

import io
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.events import AttemptEnded
from equipoise.telemetry import AccessLog
from equipoise.telemetry.access_log import for_machines, for_people
from tests.shell.stores.attempts import attempt
from tests.shell.telemetry.test_prometheus import ended

NOW = 1_800_000_000.125


def test_a_line_for_people_says_what_a_request_came_to() -> None:
    """Time, status, seconds, exact cost, attempts, who answered; what there is not is left out."""
    line = for_people(NOW, ended(cost=6_100_000, duration=1.23456, stream=True))
    assert line == (
        "2027-01-15T08:00:00.125Z status=200 seconds=1.2346 cost_usd=0.006100000 attempts=1 "
        "route=auto tenant=default backend=web stream=whole request_id=r"
    )


def test_a_line_for_machines_is_one_json_object() -> None:
    """The same fields with their types."""
    line = json.loads(for_machines(NOW, ended(status=503, backend_id=None, error_code="no_healthy_backend")))
    assert (line["time"], line["status"], line["error"]) == ("2027-01-15T08:00:00.125Z", 503, "no_healthy_backend")
    assert "backend" not in line


@given(st.text(max_size=300))
def test_no_client_can_forge_a_line_or_a_pair(text: str) -> None:
    """Control characters, spaces, quotes and equal signs in a request id stay inside its value."""
    for line in (for_people(NOW, ended(request_id=text)), for_machines(NOW, ended(request_id=text))):
        assert len(line.splitlines()) == 1
    said = for_people(NOW, ended(request_id=text)).split(" request_id=", 1)[1]
    assert said.startswith('"') or not set(said) & set(' ="\\')
    assert not said.startswith('"') or isinstance(json.loads(said), str)


def test_a_key_sent_as_a_name_is_masked() -> None:
    """Clients put keys in odd places; the log does not keep them."""
    event = ended(request_id="sk-abcdefghijklmnop123", tenant="pplx-abcdefghijklmnop123")
    for line in (for_people(NOW, event), for_machines(NOW, event)):
        assert "abcdefghijklmnop" not in line


@pytest.mark.parametrize("style", ["console", "json"])
def test_every_request_is_one_line_in_order_and_attempts_are_none(style: str) -> None:
    """Closing writes what waits."""
    sink = io.StringIO()
    log = AccessLog(sink, style=style, wall=lambda: NOW)  # type: ignore[arg-type]
    log.observe(AttemptEnded(attempt()))
    for number in range(100):
        log.observe(ended(request_id=f"r{number}"))
    log.close()
    lines = sink.getvalue().splitlines()
    assert [f"r{number}" in line for number, line in enumerate(lines)] == [True] * 100


class Slow(io.StringIO):
    """A sink that takes nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()

    def write(self, text: str, /) -> int:
        self.entered.set()
        self.go.wait(10)
        return super().write(text)


def test_a_slow_sink_stops_no_request_and_the_log_says_what_it_lost() -> None:
    """Five wait, the others are counted; the count is a line of its own."""
    sink = Slow()
    log = AccessLog(sink, flush_seconds=0.0, capacity=5)
    log.observe(ended(request_id="first"))
    assert sink.entered.wait(10)
    for number in range(12):
        log.observe(ended(request_id=f"r{number}"))
    sink.go.set()
    log.close()
    assert log.dropped == 7
    assert '"7 lines were dropped"' in sink.getvalue()
    assert "request_id=r4" in sink.getvalue()
    assert "request_id=r5" not in sink.getvalue()


def test_a_sink_that_went_away_is_counted_and_harms_nobody() -> None:
    """A closed stream or a full disk is no reason to stop answering."""
    sink = io.StringIO()
    log = AccessLog(sink, flush_seconds=0.0)
    sink.close()
    log.observe(ended())
    log.close()
    assert log.dropped == 1


@pytest.mark.parametrize(
    ("word", "how"),
    [
        ("whole", {}),
        ("left", {"status": 499, "error_code": "cancelled"}),
        ("interrupted", {"interrupted": True, "error_code": "stream_interrupted"}),
        ("refused", {"status": 503, "error_code": "no_healthy_backend"}),
    ],
)
def test_a_stream_is_called_whole_only_if_it_was(word: str, how: dict[str, object]) -> None:
    """One that its client left or that nobody began is not one that reached its end."""
    assert f" stream={word} " in for_people(NOW, ended(stream=True, **how))
