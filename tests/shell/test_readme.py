"""What the README shows works as shown."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from equipoise.config.load import load

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_configuration_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The YAML block is a valid configuration, references filled in from the environment."""
    for name in ("LIGHTRAG_API_KEY", "PERPLEXITY_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"value-of-{name}")
    (text,) = blocks("yaml")
    file = tmp_path / "equipoise.yaml"
    file.write_text(text)
    assert list(load(file).config.backend_instances) == ["papers", "web", "llm"]


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The library example asks, streams and decides."""
    (tmp_path / "mine.py").write_text("def answer(text):\n    return 'leucine, said ' + text\n")
    (tmp_path / "equipoise.yaml").write_text(
        "backend_instances:\n  mine: {backend_type: function, function: 'mine:answer'}\n"
        f"state_dir: {tmp_path / 'state'}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (code,) = blocks("python")
    space: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), space)
    asyncio.run(space["main"]())  # type: ignore[operator]
    printed = capsys.readouterr().out
    assert "leucine, said Which metabolites rise" in printed
    assert "leucine, said And which fall?" in printed
