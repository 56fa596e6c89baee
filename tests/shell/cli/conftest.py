"""Commands run as a user runs them: in an empty folder, without anything in the environment."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from equipoise.cli import main
from equipoise.config.environment import EVERY_NAME

ROOT = Path(__file__).parents[3]
GOOD = """\
backend_instances:
  oracle: {backend_type: function, function: "answers:answer", corpus: mine}
state_dir: state
"""
ANSWERS = """\
async def answer(question):
    if "fail" in question:
        raise RuntimeError("it broke")
    return "forty-two, as asked: " + question
"""


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder and an environment that names nothing."""
    monkeypatch.chdir(tmp_path)
    for name in [*EVERY_NAME, *(name for name in os.environ if name.startswith("EQUIPOISE_"))]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """What a command sets up in this process ends with its test, and so do the streams that it writes to."""
    logger = logging.getLogger("equipoise")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture
def run(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command line in this process."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def ran(*arguments: str) -> Ran:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return ran


@pytest.fixture
def oracle(folder: Path) -> Path:
    """A configuration whose backend is a Python function beside it."""
    (folder / "answers.py").write_text(ANSWERS)
    path = folder / "equipoise.yaml"
    path.write_text(GOOD)
    sys.modules.pop("answers", None)
    return path


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    """A command as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "equipoise", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass
class Served:
    """A gateway as a process of its own, with its five lines."""

    process: subprocess.Popen[str]
    lines: list[str]

    @property
    def url(self) -> str:
        return self.lines[0].split()[-1]

    @property
    def admin_url(self) -> str:
        return self.lines[1].split()[-1].removesuffix("/dashboard")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Exit code and what was still printed."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@pytest.fixture
def served(oracle: Path) -> Iterator[Served]:
    """A running gateway on ports the system chose."""
    process = start("serve", "--port", "0", folder=oracle.parent)
    assert process.stdout is not None
    gateway = Served(process, [process.stdout.readline().rstrip() for _ in range(5)])
    yield gateway
    if process.poll() is None:
        gateway.stop()
