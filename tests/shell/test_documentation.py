"""The pages say what the code does: made ones are up to date, and nothing public goes without a word."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

import equipoise
from bench.documentation.__main__ import ROOT, stale
from equipoise.cli import main
from equipoise.cli.app import COMMANDS, NOUNS
from equipoise.config.environment import EVERY_NAME
from equipoise.config.load import load
from equipoise.core.model import Strategy
from equipoise.gateway.openapi import LISTENERS
from equipoise.telemetry.prometheus import Metrics
from tests.shell.config.test_nothing_is_idle import FIELDS

PAGES = {path: path.read_text("utf-8") for path in sorted((ROOT / "docs").rglob("*.md"))}
TEXT = "\n".join(PAGES.values())
INDEX = PAGES[ROOT / "docs" / "index.md"]


def test_no_made_page_is_stale() -> None:
    """`python -m bench.documentation` makes them anew."""
    assert stale() == [], "run: python -m bench.documentation"


@pytest.mark.parametrize("name", equipoise.__all__)
def test_every_public_name_has_a_page(name: str) -> None:
    """In the Python reference."""
    assert f"### {name}" in TEXT or f"### `{name}`" in TEXT


def test_every_field_and_variable_has_a_page() -> None:
    """With its whole path."""
    assert [field for field in FIELDS if f"`{field}`" not in TEXT] == []
    assert [name for name in EVERY_NAME if f"`{name}`" not in TEXT] == []


def test_every_command_and_option_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """What --help shows, the reference shows."""
    page = PAGES[ROOT / "docs" / "reference" / "command-line.md"]
    names = [(name,) for name in COMMANDS] + [(noun, verb) for noun, (_, verbs) in NOUNS.items() for verb in verbs]
    for name in names:
        assert f"equipoise {' '.join(name)}\n" in page
        main([*name, "--help"])
        shown = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help", "--version"}
        assert [option for option in shown if option not in page] == []


def test_every_metric_strategy_and_path_has_a_page() -> None:
    """By its name."""
    metrics = re.findall(r"# TYPE (\S+)", Metrics().render().decode())
    assert [name for name in metrics if f"`{name}`" not in TEXT] == []
    strategies = PAGES[ROOT / "docs" / "strategies.md"]
    assert [strategy.value for strategy in Strategy if f"`{strategy.value}`" not in strategies] == []
    paths = {operation.path for operations in LISTENERS.values() for operation in operations}
    assert [path for path in paths if path not in TEXT] == []


def test_every_link_between_pages_leads_somewhere() -> None:
    """Relative ones."""
    broken = [
        f"{page.name}: {target}"
        for page, text in PAGES.items()
        for target in re.findall(r"\]\(([^)#:]+\.md)", text)
        if not (page.parent / target).exists()
    ]
    assert broken == []


def test_the_quick_start_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its configuration loads, its Python answers."""
    (text,) = re.findall(r"```yaml\n(.*?)```", INDEX, re.DOTALL)
    (tmp_path / "shown.yaml").write_text(text)
    assert list(load(tmp_path / "shown.yaml", environ={}).config.backend_instances) == ["papers", "web"]
    (tmp_path / "own_engine.py").write_text("def answer(text):\n    return 'leucine, said ' + text\n")
    (tmp_path / "equipoise.yaml").write_text(
        "backend_instances:\n  mine: {backend_type: function, function: 'own_engine:answer'}\n"
        f"state_dir: {tmp_path / 'state'}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", INDEX, re.DOTALL)
    space: dict[str, object] = {}
    exec(compile(code, "index.md", "exec"), space)
    asyncio.run(space["main"]())  # type: ignore[operator]
    assert "leucine, said Which metabolites rise" in capsys.readouterr().out
