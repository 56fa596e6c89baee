"""What tests of the configuration share: a folder of its own and no variables but those a test sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from equipoise.config import ConfigurationError
from equipoise.config.load import Loaded, load

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)

    def written(text: str, name: str = "equipoise.yaml") -> Path:
        path = Path(name)
        path.write_text(text, "utf-8")
        return path

    return written


def told(text: str, write: Write, environ: dict[str, str] | None = None, name: str = "equipoise.yaml") -> str:
    """Everything that is said about a wrong file."""
    with pytest.raises(ConfigurationError) as caught:
        load(write(text, name), environ=environ or {})
    return str(caught.value)


def good(text: str, write: Write, environ: dict[str, str] | None = None) -> Loaded:
    """The configuration in a right file."""
    return load(write(text), environ=environ or {})
