"""`content` in all the forms an operator may say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from equipoise.build.content import contents_of
from equipoise.config import ConfigurationError
from equipoise.config.load import load
from equipoise.stores.contents import DAY, FILE, Terms

BACKENDS = {"a": {"backend_type": "function", "function": "tests.shell.config.own:answer"}}


def made(folder: Path, **said: Any) -> Any:
    config = load({"backend_instances": BACKENDS, "state_dir": str(folder), **said}).config
    return contents_of(config, lambda trouble: None)


@pytest.mark.parametrize("said", [{}, {"content": "none"}, {"content": {"tenants": {"a": "none"}}}])
def test_without_a_word_there_is_no_file(tmp_path: Path, said: dict[str, Any]) -> None:
    """Nothing is kept by default."""
    assert made(tmp_path, **said) is None
    assert not (tmp_path / FILE).exists()


def test_each_tenant_has_its_terms(tmp_path: Path) -> None:
    """A word, or a mapping with days of its own; the rest go by the default."""
    tenants = {"ward": "redacted", "demo": {"content": "full", "keep_days": 2}, "quiet": "none"}
    it = made(tmp_path, content={"default": "redacted", "tenants": tenants, "keep_days": 7})
    found = [it._terms_of(tenant) for tenant in ("ward", "demo", "quiet", "stranger")]
    it.close()
    assert found == [
        Terms("redacted", 7 * DAY),
        Terms("full", 2 * DAY),
        Terms("none", 7 * DAY),
        Terms("redacted", 7 * DAY),
    ]


def test_what_is_redacted_is_masked_first_and_then_the_operators(tmp_path: Path) -> None:
    """Keys and numbers never reach a function of one's own."""
    it = made(tmp_path, content={"default": "redacted", "redact": "tests.shell.config.own:answer"})
    assert it._redact("call 030 901820, sk-abcdefghijklmnop") == "about call [redacted], [redacted]"
    it.close()


@pytest.mark.parametrize("said", ["all", {"tenants": {"a": "some"}}, {"keep_days": 0}, {"redact": "no function"}])
def test_what_makes_no_sense_stops_the_start(tmp_path: Path, said: Any) -> None:
    """A misspelt word does not mean full."""
    with pytest.raises(ConfigurationError):
        made(tmp_path, content=said)
