"""The tools of those who will read `deploy/`, installed by `make e2e`; and our own command to look at configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.deployment import tools
from equipoise.cli import main

Checked = Callable[[str, Mapping[str, str]], None]


@pytest.fixture(autouse=True, scope="session")
def everything_is_installed() -> None:
    """Else a skipped test, which `--no-skips` does not let pass."""
    if not tools.installed():
        pytest.skip("not installed: python -m tests.end_to_end.install")


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checked:
    """`equipoise check` of a text finds nothing wrong, with these variables set."""

    def check(text: str, environ: Mapping[str, str]) -> None:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        file = tmp_path / "checked.yaml"
        file.write_text(text)
        code = main(["check", "-c", str(file)])
        assert code == 0, capsys.readouterr()

    return check
