"""Hints in headers and metadata, request ids, client keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.callers import Caller
from equipoise.core.intake import Hints
from equipoise.core.model import Message, Question
from equipoise.gateway.dialects.base import Asked, Malformed
from equipoise.gateway.hints import read_hints
from equipoise.gateway.ids import RequestIds
from equipoise.gateway.keys import ClientKeys, digest


def hints(headers: dict[str, str] | None = None, metadata: dict[str, Any] | None = None) -> Hints:
    fields = {name.encode(): value.encode("latin-1") for name, value in (headers or {}).items()}
    asked = Asked(Question(messages=[Message("user", "?")]), "auto", metadata)
    return read_hints(fields, asked, "req-1", Caller(tenant="tenant-a"))


def test_headers_become_hints():
    """Every hint in its own unit, money rounded down to the nano-dollar."""
    read = hints(
        {
            "x-equipoise-strategy": "cost_optimized",
            "x-equipoise-max-cost-usd": "0.0000000019",
            "x-equipoise-deadline-ms": "1500",
            "x-equipoise-tags": "team:a, night ,",
            "x-equipoise-session": "s-1",
        }
    )
    assert (read.strategy, read.max_cost, read.deadline_seconds) == ("cost_optimized", 1, 1.5)
    assert (read.tags, read.session, read.tenant, read.request_id) == (("team:a", "night"), "s-1", "tenant-a", "req-1")


def test_metadata_says_the_same_and_headers_win():
    """Clients that cannot set headers use `metadata` with the same names; foreign metadata means nothing."""
    metadata = {
        "x-equipoise-max-cost-usd": 0.5,
        "x-equipoise-tags": ["a", "b"],
        "x-equipoise-session": "from metadata",
        "tags": "mine",
    }
    read = hints({"x-equipoise-session": "from header"}, metadata)
    assert (read.max_cost, read.tags, read.session) == (500_000_000, ("a", "b"), "from header")


def test_names_in_metadata_are_names_of_headers_whatever_their_case():
    """As the documentation spells them too; a class that is named so is not lost, and two spellings of one are refused."""
    read = hints(metadata={"X-Equipoise-Data-Class": "patients", "X-EQUIPOISE-SESSION": "s"})
    assert (read.data_classes, read.session) == ({"patients"}, "s")
    with pytest.raises(Malformed, match="twice"):
        hints(metadata={"X-Equipoise-Data-Class": "patients", "x-equipoise-data-class": "staff"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-equipoise-max-cost-usd", "cheap"),
        ("x-equipoise-max-cost-usd", "-1"),
        ("x-equipoise-max-cost-usd", "nan"),
        ("x-equipoise-max-cost-usd", "1e99"),
        ("x-equipoise-max-cost-usd", "9" * 100),
        ("x-equipoise-deadline-ms", "0"),
        ("x-equipoise-deadline-ms", "soon"),
        ("x-equipoise-deadline-ms", "²"),
        ("x-equipoise-deadline-ms", "9" * 30),
        ("x-equipoise-tags", ",".join("t" * 3 for _ in range(17))),
        ("x-equipoise-tags", "t" * 65),
        ("x-equipoise-session", "s" * 257),
        ("x-equipoise-session", ""),
    ],
)
def test_a_bad_hint_names_its_header(name: str, value: str):
    """The client learns which header to correct."""
    with pytest.raises(Malformed) as caught:
        hints({name: value})
    assert (caught.value.param, caught.value.status) == (name, 400)
    assert name in caught.value.message


@given(
    st.sampled_from(["strategy", "max-cost-usd", "deadline-ms", "tags", "session"]),
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.lists(st.integers() | st.text()),
)
def test_any_metadata_is_read_or_refused(name: str, value: Any):
    """Whatever JSON holds under our names: hints or Malformed."""
    try:
        read = hints(metadata={f"x-equipoise-{name}": value})
    except Malformed:
        return
    assert read.max_cost is None or read.max_cost >= 0


def test_a_trace_is_passed_on_within_bounds():
    """`traceparent` with its state; a state alone or an endless one is dropped."""
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert hints({"traceparent": parent, "tracestate": "v=1"}).trace == (
        (b"traceparent", parent.encode()),
        (b"tracestate", b"v=1"),
    )
    assert hints({"tracestate": "v=1"}).trace == ()
    assert hints({"traceparent": parent, "tracestate": "v" * 600}).trace == ((b"traceparent", parent.encode()),)


@given(st.binary(max_size=200))
def test_a_request_id_is_echoed_only_if_harmless(given_id: bytes):
    """What comes back is a short word of safe characters, the client's own where it is one."""
    made = RequestIds("p-").of({b"x-request-id": given_id})
    safe = given_id.decode("latin-1")
    harmless = 0 < len(safe) <= 128 and all(c.isascii() and (c.isalnum() or c in "-_.:") for c in safe)
    assert made == (safe if harmless else "p-1")


def test_made_ids_differ():
    """A counter behind a random prefix."""
    ids, others = RequestIds(), RequestIds()
    assert len({ids.of({}), ids.of({}), others.of({}), others.of({})}) == 4


def test_keys_are_known_by_their_digest():
    """Bearer or X-API-Key, each key with its tenant; nothing of a key is kept or shown."""
    keys = ClientKeys({digest("sk-a"): "team-a", digest("sk-b"): "team-b"})
    assert keys.tenant({b"authorization": b"Bearer sk-a"}) == "team-a"
    assert keys.tenant({b"authorization": b"bearer  sk-b "}) == "team-b"
    assert keys.tenant({b"x-api-key": b"sk-b"}) == "team-b"
    assert "sk-a" not in repr(keys)
    assert b"sk-a" not in repr(vars(keys)).encode()


@pytest.mark.parametrize(
    "headers",
    [{}, {b"authorization": b"Basic sk-a"}, {b"x-api-key": b""}, {b"x-api-key": b"sk-a" * 999}, {b"x-api-key": b"sk"}],
)
def test_other_keys_are_nobodys(headers: dict[bytes, bytes]):
    """None, empty, endless, of another scheme, or a part of a good one."""
    assert ClientKeys.of(["sk-a"]).tenant(headers) is None
