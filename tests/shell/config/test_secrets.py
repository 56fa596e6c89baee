"""Secrets come by reference and are never printed."""

from __future__ import annotations

import pytest

from equipoise.config import Secret
from equipoise.config.load import load
from equipoise.config.save import plain
from equipoise.config.secret import without_secrets
from tests.shell.config.conftest import Write, good, told

KEY = "pplx-abcdefghijklmnop3f9a"
TEXT = "backend_instances:\n  p:\n    backend_type: perplexity\n    api_key: {key}\n"


def test_a_key_prints_as_its_prefix_and_its_end() -> None:
    """Enough to tell keys apart, not enough to use one; a short one shows nothing."""
    assert str(Secret(KEY)) == "pplx-…3f9a"
    assert repr(Secret(KEY)) == "Secret(pplx-…3f9a)"
    assert str(Secret("hunter2")) == "…"


def test_no_way_of_printing_a_configuration_shows_a_key(write: Write) -> None:
    """Not repr, not a dump, not the redacted document, not the tree it was read from."""
    text = TEXT.format(key=KEY) + f"    headers: {{x-extra: {KEY}}}\nkeys: {{app: {KEY}}}\n"
    loaded = good(text, write)
    shown = (
        repr(loaded) + str(loaded.config) + loaded.config.model_dump_json() + str(plain(loaded.config, everything=True))
    )
    assert KEY not in shown
    assert "pplx-…3f9a" in shown


@pytest.mark.parametrize(
    "line",
    [
        f"api_key: [{KEY}]",
        f"endpoint_url: {KEY}",
        "endpoint_url: https://user:" + KEY + "@api.perplexity.ai",
        f"api_keys: {KEY}",
        f"weight: {KEY}",
    ],
)
def test_no_error_shows_a_key_even_in_the_wrong_place(write: Write, line: str) -> None:
    """A key pasted into another field is masked in the complaint about it."""
    assert KEY not in told(f"backend_instances:\n  p:\n    backend_type: perplexity\n    {line}\n", write)


def test_a_key_may_be_a_reference_a_default_or_a_file(write: Write) -> None:
    """${VAR}, ${VAR:-default}, file:/path with its newline cut."""
    secret_file = write(KEY + "\n", "key.txt").resolve()
    for said in ("${THE_KEY}", "${NOT_SET:-" + KEY + "}", f"file:{secret_file}"):
        key = good(TEXT.format(key=said), write, {"THE_KEY": KEY}).config.backend_instances["p"].api_key
        assert key is not None
        assert (key.reveal(), key.reference) == (KEY, said)


def test_a_missing_secret_file_is_told_without_ado(write: Write) -> None:
    """With the path, which is no secret."""
    message = "api_key: cannot read the secret file /nowhere/key: No such file or directory"
    assert message in told(TEXT.format(key="file:/nowhere/key"), write)


def test_a_key_with_a_line_break_is_refused() -> None:
    """It would be a second header."""
    with pytest.raises(ValueError, match="one line"):
        Secret.parse("a\r\nx-evil: 1")


def test_text_is_freed_of_what_looks_like_a_key() -> None:
    """For messages that others wrote."""
    assert without_secrets(f"bad key {KEY} at http://me:pass@host/") == "bad key pplx-…3f9a at http://…@host/"


def test_two_dollars_keep_a_reference_as_text() -> None:
    """$${x} is ${x}."""
    backend = {"backend_type": "lightrag", "endpoint_url": "http://x:1", "corpus": "$${x}"}
    assert load({"backend_instances": {"a": backend}}).config.backend_instances["a"].corpus == "${x}"


def test_fields_for_an_upstream_alone_are_shown_without_their_keys() -> None:
    """`extra_body` is anybody's: what its name or look says is a key is masked, at any depth; a saved file keeps it."""
    backend = {
        "backend_type": "perplexity",
        "api_key": KEY,
        "extra_body": {"a": [{"api_key": KEY}], "note": f"use {KEY}"},
    }
    config = load({"backend_instances": {"p": backend}}).config
    assert KEY not in str(plain(config, everything=True))
    assert str(plain(config, secrets=True)["backend_instances"]["p"]["extra_body"]).count(KEY) == 2
