"""Keys, tokens and passwords never reach a log; ordinary words do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.redaction import MASK, redact

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
