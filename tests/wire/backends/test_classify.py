"""Whose fault a failure is: by its content, in every shape that upstreams tell it."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.backends.classify import Blame, rejected, reported
from equipoise.backends.errors import SHOWN, TOLD, error_in, error_of
from equipoise.backends.pauses import LONGEST, pause_asked, seconds_of
from equipoise.core.model import Verdict

OPENAI = Blame(who="openai_direct", own_body=False, secret="sk-verysecretkey")
STRICT = Blame(who="Perplexity", own_fields=frozenset({"model", "max_steps"}))


def openai(message: str, kind: str = "invalid_request_error", code: Any = None, param: str | None = None) -> bytes:
    """An error body as OpenAI writes it."""
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


LOADING = b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
TOO_SHORT = (
    b'{"detail":[{"loc":["body","query"],"msg":"String should have at least 3 characters","type":"value_error"}]}'
)
BAD_MODE = b'{"detail":[{"loc":["body","mode"],"msg":"Input should be local or global","type":"literal_error"}]}'
NO_PATH = b'{"detail":"Not Found"}'
QUOTA = "You exceeded your current quota, please check your plan"
LONG = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens"

CASES: list[tuple[str, Blame, int, bytes, Verdict, str]] = [
    ("bad key", OPENAI, 401, openai("Incorrect API key provided", code="invalid_api_key"), Verdict.REFUSED, "invalid_api_key"),
    ("vLLM key", OPENAI, 401, b'{"error":"Unauthorized"}', Verdict.REFUSED, "invalid_api_key"),
    ("LightRAG key", STRICT, 403, b'{"detail":"Invalid API Key"}', Verdict.REFUSED, "permission_denied"),
    ("no money", STRICT, 402, b"", Verdict.REFUSED, "insufficient_quota"),
    ("quota", OPENAI, 429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), Verdict.REFUSED, "insufficient_quota"),
    ("credits", OPENAI, 429, openai("x", "x", "credit_balance_exhausted"), Verdict.REFUSED, "insufficient_quota"),
    ("spend", OPENAI, 429, openai("stop", "rate_limit_error", "enforced_spend_limit_reached"), Verdict.REFUSED, "insufficient_quota"),
    ("rate", OPENAI, 429, openai("Rate limit reached", "tokens", "rate_limit_exceeded"), Verdict.THROTTLED, "rate_limit_exceeded"),
    ("bare 429", STRICT, 429, b"", Verdict.THROTTLED, "rate_limit_exceeded"),
    ("529", OPENAI, 529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', Verdict.THROTTLED, "rate_limit_exceeded"),
    ("Ollama busy", OPENAI, 503, openai("server busy, please try again.  maximum pending requests exceeded", "api_error"), Verdict.THROTTLED, "rate_limit_exceeded"),
    ("loading", OPENAI, 503, LOADING, Verdict.FAILURE, "upstream_error"),
    ("500", STRICT, 500, b'{"detail":"Internal server error (error_id: 7)"}', Verdict.FAILURE, "upstream_error"),
    ("HTML 502", OPENAI, 502, b"<html><h1>Bad Gateway</h1></html>", Verdict.FAILURE, "upstream_error"),
    ("504", OPENAI, 504, b"", Verdict.FAILURE, "upstream_timeout"),
    ("408", OPENAI, 408, b"", Verdict.FAILURE, "upstream_timeout"),
    ("redirect", OPENAI, 307, b"", Verdict.FAILURE, "redirect_not_followed"),
    ("wrong path", OPENAI, 404, NO_PATH, Verdict.FAILURE, "endpoint_not_found"),
    ("wrong method", OPENAI, 405, b"", Verdict.FAILURE, "endpoint_not_found"),
    ("our model", OPENAI, 404, openai("The model `gpt-9` does not exist", code="model_not_found"), Verdict.REFUSED, "model_not_found"),
    ("Ollama model", OPENAI, 404, openai('model "tiny" not found, try pulling it first', "not_found_error"), Verdict.REFUSED, "model_not_found"),
    ("Perplexity model", STRICT, 400, openai("Invalid model 'sonar-9'", "invalid_model", 400), Verdict.REFUSED, "model_not_found"),
    ("Gemini key", OPENAI, 400, openai("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", 400), Verdict.REFUSED, "invalid_api_key"),
    ("his model", Blame(own_model=False), 404, openai("The model `x` does not exist"), Verdict.IGNORED, "model_not_found"),
    ("context", OPENAI, 400, openai(LONG, code="context_length_exceeded"), Verdict.IGNORED, "context_length_exceeded"),
    ("vLLM context", OPENAI, 400, openai(LONG, "BadRequestError", 400), Verdict.IGNORED, "context_length_exceeded"),
    ("llama.cpp context", OPENAI, 400, openai("the request exceeds the available context size", "exceed_context_size_error", 400), Verdict.IGNORED, "context_length_exceeded"),
    ("flat vLLM", OPENAI, 400, b'{"object":"error","message":"prompt is too long","code":400}', Verdict.IGNORED, "context_length_exceeded"),
    ("413", STRICT, 413, b'{"detail":"Request body too large"}', Verdict.IGNORED, "context_length_exceeded"),
    ("bad request", OPENAI, 400, openai("temperature must be at most 2", param="temperature"), Verdict.IGNORED, "invalid_request_error"),
    ("his field", OPENAI, 400, openai("Unrecognized request argument supplied: mode"), Verdict.IGNORED, "invalid_request_error"),
    ("short", Blame(own_fields=frozenset({"mode"})), 422, TOO_SHORT, Verdict.IGNORED, "invalid_request_error"),
    ("our mode", Blame(own_fields=frozenset({"mode"})), 422, BAD_MODE, Verdict.FAILURE, "upstream_rejected_field"),
    ("his mode", Blame(own_fields=frozenset()), 422, BAD_MODE, Verdict.IGNORED, "invalid_request_error"),
    ("strict field", STRICT, 400, openai("unknown field `stop`"), Verdict.FAILURE, "upstream_rejected_field"),
    ("our steps", STRICT, 400, openai("max_steps is too large", param="max_steps"), Verdict.FAILURE, "upstream_rejected_field"),
    ("not JSON", OPENAI, 400, b"\xff\xfe", Verdict.IGNORED, "invalid_request_error"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("blame", "status", "body", "verdict", "code"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_a_rejection_is_judged_by_what_it_says(
    blame: Blame, status: int, body: bytes, verdict: Verdict, code: str
) -> None:
    """Each recorded way of saying no gets its verdict; the caller's fault comes with the upstream's own error."""
    error = rejected(status, {}, body, blame)
    assert (error.verdict, error.code, error.status) == (verdict, code, status)
    assert (error.client_error is not None) == (verdict is Verdict.IGNORED)


def test_the_callers_own_fault_is_told_in_openais_form() -> None:
    """Message, type and param of the upstream survive."""
    error = rejected(400, {}, openai("temperature must be at most 2", param="temperature"), OPENAI)
    assert error.client_error == {
        "message": "temperature must be at most 2",
        "type": "invalid_request_error",
        "param": "temperature",
        "code": "invalid_request_error",
    }


@pytest.mark.parametrize(
    "words", ["unknown model", "invalid api key", "insufficient_quota", "spend limit", "unauthorized"]
)
def test_a_client_cannot_shut_a_backend_out_with_words(words: str) -> None:
    """Upstreams repeat field names and values: none of them may look like a refused key, quota or model."""
    for message in (
        f"Unrecognized request argument supplied: {words}",
        f"Invalid value: '{words}'",
        f"no tool '{words}'",
    ):
        assert rejected(400, {}, openai(message), OPENAI).verdict is Verdict.IGNORED
        assert rejected(422, {}, openai(message), OPENAI).verdict is Verdict.IGNORED


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        ({"message": "Rate limit", "type": "rate_limit_error"}, Verdict.THROTTLED),
        ({"message": "no", "code": "429"}, Verdict.THROTTLED),
        ({"message": "bad", "type": "authentication_error"}, Verdict.REFUSED),
        ({"message": "broke", "code": "insufficient_quota"}, Verdict.REFUSED),
        ({"message": "The engine died", "type": "server_error"}, Verdict.FAILURE),
        ("just words", Verdict.FAILURE),
        ({"message": LONG, "type": "invalid_request_error"}, Verdict.IGNORED),
    ],
)
def test_an_error_within_a_success_is_judged_by_its_own_words(told: Any, verdict: Verdict) -> None:
    """A 200 that turns into an error is classified as the status it would have had."""
    assert reported(error_of({"error": told}), OPENAI).verdict is verdict


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({b"retry-after": b"7"}, "", 7.0),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, "", 1.5),
        ({b"x-ratelimit-reset-requests": b"6m0s", b"x-ratelimit-reset-tokens": b"120ms"}, "", 360.0),
        ({b"x-ratelimit-reset-requests": b"6m0s", b"x-ratelimit-reset-tokens": b"2s", b"x-ratelimit-remaining-tokens": b"0"}, "", 2.0),
        ({b"x-ratelimit-reset": b"30"}, "", 30.0),
        ({}, "Rate limit reached. Please try again in 20s. Visit ...", 20.0),
        ({}, "Please retry after 350ms", 0.35),
        ({}, "try again in 2 minutes", 120.0),
        ({b"retry-after": b"1e9"}, "", None),
        ({b"retry-after": b"99999999"}, "", LONGEST),
        ({b"retry-after": b"-5"}, "", None),
        ({b"retry-after": b"soon"}, "", None),
        ({}, "no", None),
    ],
)  # fmt: skip
def test_a_pause_is_understood_in_every_form(headers: dict[bytes, bytes], message: str, seconds: float | None) -> None:
    """Headers before words, milliseconds before seconds, the used-up budget before the other."""
    assert pause_asked(headers, message) == seconds


def test_a_date_counts_from_the_upstreams_own_clock() -> None:
    """A wrong clock on either side does not change the pause."""
    now = time.time() - 86_400 * 30
    headers = {b"retry-after": email.utils.formatdate(now + 90).encode(), b"date": email.utils.formatdate(now).encode()}
    assert pause_asked(headers) == 90.0


def test_only_a_throttle_reads_reset_headers() -> None:
    """OpenAI sends its budgets with every answer: on a 500 they say nothing about when to come back."""
    headers = {b"x-ratelimit-reset-requests": b"60s"}
    assert rejected(500, headers, b"", OPENAI).retry_after is None
    assert rejected(429, headers, b"", OPENAI).retry_after == 60.0
    assert rejected(503, {b"retry-after": b"5"}, b"", OPENAI).retry_after == 5.0


def test_no_secret_is_repeated() -> None:
    """Neither our key nor anything that looks like one, nor a password in an address, reaches a message."""
    body = openai(
        "Incorrect API key provided: sk-verysecretkey, pplx-abcdef123456, Bearer abcdef.ghijk, http://me:pw@host/"
    )
    error = rejected(400, {}, body, OPENAI)
    told = f"{error} {error.client_error}"
    assert "http://[user]@host/" in told
    for secret in ("verysecret", "abcdef", "me:pw"):
        assert secret not in told


@given(st.integers(300, 599), st.binary(max_size=300))
def test_any_bytes_with_any_status_are_classified(status: int, body: bytes) -> None:
    """Nothing an upstream sends can break classification, and no message is longer than a person would read."""
    error = rejected(status, {}, body, OPENAI)
    assert len(str(error)) <= SHOWN + 60
    assert str(error).isprintable()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["error", "message", "detail", "type", "code", "param", "loc", "msg"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES, st.sampled_from([400, 404, 422, 429, 500, 503]))
def test_any_json_with_error_words_in_it_is_classified(value: Any, status: int) -> None:
    """Whatever stands where an error should, an ErrorBody of bounded text comes out."""
    error = error_in(msgspec.json.encode(value))
    assert len(error.message) <= TOLD
    assert isinstance(rejected(status, {}, msgspec.json.encode(value), STRICT).verdict, Verdict)


@given(st.text(max_size=30))
def test_reading_a_duration_never_fails(text: str) -> None:
    """Any text is a duration or none."""
    seconds = seconds_of(text)
    assert seconds is None or seconds >= 0
