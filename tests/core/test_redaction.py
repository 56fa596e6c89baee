"""Keys, tokens and passwords never reach a log; ordinary words do."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.accounting import LONGEST_WORD, answered
from equipoise.core.redaction import MASK, printable, redact, without_persons
from tests.fakes import answer, backend, request, selection

SECRET = "Zx81Qw72Er63Ty54"
alphabet = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", min_size=16, max_size=60)


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: sk-{SECRET}.",
        f"key=pplx-{SECRET}",
        f"Authorization: Bearer {SECRET}",
        f'{{"authorization": "Bearer {SECRET}"}}',
        f"X-API-Key: {SECRET}",
        f'"api_key": "{SECRET}"',
        f"LIGHTRAG_API_KEY={SECRET} other",
        f"https://user:{SECRET}@host/path",
        f"eyJhbGciOiJIUzI1NiJ9.{SECRET}.{SECRET}",
        f"password={SECRET}&next=1",
    ],
)
def test_a_secret_is_masked_wherever_it_usually_stands(text: str) -> None:
    """Vendor prefixes, schemes, telling names, URLs and JSON web tokens."""
    assert SECRET not in redact(text)
    assert MASK in redact(text)


@given(alphabet)
def test_any_key_with_a_vendors_prefix_is_masked(tail: str) -> None:
    """Whatever follows `sk-` is gone, to the last character."""
    assert redact(f"bad key 'sk-{tail}' given") == f"bad key '{MASK}' given"


@pytest.mark.parametrize(
    "text",
    [
        "1000 tokens",
        "skin-permeability of sk-",
        "skateboarding-champions",
        "input_tokens: 1000",
        "the task-force asked",
        "429 rate limit",
        "max_tokens=5",
        "http://host:80/x",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    """A log that masks everything says nothing."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "4711-0815",
        "ann.b@clinic.example.org",
        "+49 30 901820",
        "10.20.30.40",
        "DE89 3704 0044 0532 0130 00",
        "1961-04-12",
    ],
)
def test_what_may_be_a_persons_is_masked(text: str) -> None:
    """Addresses, telephones, dates of birth, records, accounts: whole, within a sentence."""
    assert without_persons(f"of {text} it is") == f"of {MASK} it is"


@pytest.mark.parametrize("text", ["5 mg of 12.5 %", "HbA1c of 7.2", "in 2026, 3 of 40", "p = 0.05", "CYP2D6"])
def test_ordinary_numbers_stay(text: str) -> None:
    """A dose is no telephone."""
    assert without_persons(text) == text


@given(st.text(max_size=300))
def test_masking_persons_never_fails_and_leaves_no_long_number(text: str) -> None:
    """Five ASCII digits in a row are gone whatever stands around them."""
    assert not re.search(r"[0-9]{5}", without_persons(text))


@given(st.text(max_size=300), st.integers(1, 200))
def test_a_strangers_word_is_short_and_steers_nothing(text: str, most: int) -> None:
    """Whatever it was; what is printable stays as it is."""
    shown = printable(text, most)
    assert shown.isprintable()
    assert len(shown) <= most
    assert printable(shown, most) == shown


def test_what_an_upstream_calls_its_model_is_recorded_short_and_printable() -> None:
    """So is its word for the end: both stand in the ledger, its exports, spans and tables."""
    lease = selection([backend("a")]).acquire(request())
    told = answer(model="m\r\nx: 1\x1b[31m\u202e" + "y" * 10_000, finish_reason="stop\x07" + "z" * 10_000)
    outcome = answered(lease, told, lease.started + 1.0)
    for word in (outcome.model, outcome.finish_reason):
        assert word is not None
        assert word.isprintable()
        assert len(word) == LONGEST_WORD


PIECES = (
    "sk-",
    "pplx_",
    "AKIA",
    "eyJ",
    "bearer",
    "api_key",
    "Token",
    "=",
    ":",
    "://",
    "@",
    "user",
    SECRET,
    "Zz9-_",
    "/",
    ".",
    '"',
)


@given(st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
def test_a_word_alone_is_masked_as_in_a_sentence(word: str) -> None:
    """That most words need no long look loses no secret: a space makes it be taken, and changes nothing else."""
    assert redact(f" {word}") == f" {redact(word)}"
