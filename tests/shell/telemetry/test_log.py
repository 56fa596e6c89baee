"""What the program logs comes out in one of two forms, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from equipoise.telemetry import set_up_logging

KEY = "sk-abcdefghijklmnop123"


@pytest.fixture
def sink() -> Iterator[io.StringIO]:
    yield io.StringIO()
    logger = logging.getLogger("equipoise")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def test_people_read_the_message_and_its_pairs(sink: io.StringIO) -> None:
    """Level, message, `key=value`."""
    set_up_logging("info", "console", sink)
    logging.getLogger("equipoise.breaker").warning("breaker opened", extra={"backend_id": "web", "failures": 5})
    assert sink.getvalue().rstrip().endswith('Z warning "breaker opened" backend_id=web failures=5')


def test_machines_read_json_with_the_traceback_inside(sink: io.StringIO) -> None:
    """One line even for an exception, of which kind and place are told: its words may be a question's."""
    set_up_logging("debug", "json", sink)
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        logging.getLogger("equipoise.x").exception("it failed", extra={"parts": [1, {"a": KEY}], "object": object})
    assert sink.getvalue().count("\n") == 1
    line = json.loads(sink.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("error", "equipoise.x", "it failed")
    assert line["traceback"].endswith("ValueError")
    assert "test_log.py" in line["traceback"]
    assert "bad key" not in sink.getvalue()
    assert line["parts"] == [1, {"a": "[redacted]"}]


@pytest.mark.parametrize("style", ["console", "json"])
def test_secrets_never_reach_the_log(sink: io.StringIO, style: str) -> None:
    """In the message, in its arguments, in a field, and under a telling name whatever it looks like."""
    set_up_logging("info", style, sink)  # type: ignore[arg-type]
    logger = logging.getLogger("equipoise")
    logger.info("using %s", KEY, extra={"header": f"Bearer {KEY}", "api_key": "short", "nested": {"password": "pw1"}})
    for secret in (KEY, "short", "pw1"):
        assert secret not in sink.getvalue()


def test_a_message_with_line_ends_stays_one_line(sink: io.StringIO) -> None:
    """Nobody forges a log entry by an error message."""
    set_up_logging("info", "console", sink)
    logging.getLogger("equipoise").info("one\ntwo\r\n2027 info forged")
    assert len(sink.getvalue().splitlines()) == 1


def test_setting_up_again_replaces_and_the_level_counts(sink: io.StringIO) -> None:
    """No line twice, none below the level; an unknown level is an error."""
    set_up_logging("info", "console", sink)
    set_up_logging("warning", "console", sink)
    logging.getLogger("equipoise").info("quiet")
    logging.getLogger("equipoise").warning("loud")
    assert sink.getvalue().count("\n") == 1
    with pytest.raises(ValueError):
        set_up_logging("loud", "console", sink)
