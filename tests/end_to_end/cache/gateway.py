"""One process of the shipped command with a backend of its own, whose routes keep answers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from equipoise.config.environment import EVERY_NAME

ROOT = Path(__file__).parents[3]
ANSWERS = """\
import os

async def answer(question):
    return "told by " + str(os.getpid()) + ". " + "Water boils at 100 degrees. " * 100
"""
BACKEND = """\
backend_instances:
  here: {backend_type: function, function: "answers:answer", corpus: papers-11}
learning: {embedding: "off"}
state_dir: state
"""


class Gateway:
    """Started with this configuration beside its backend's; `stop` it. `packages` is a folder of further ones."""

    def __init__(self, folder: Path, config: str, packages: Path | None = None) -> None:
        folder.mkdir()
        (folder / "answers.py").write_text(ANSWERS)
        (folder / "equipoise.yaml").write_text(BACKEND + config)
        environ = {name: value for name, value in os.environ.items() if name not in EVERY_NAME}
        places = [str(place) for place in (ROOT, folder, packages) if place is not None]
        self.folder, self.errors = folder, (folder / "stderr").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "equipoise", "serve", "--port", "0"],
            cwd=folder,
            env=environ | {"PYTHONPATH": os.pathsep.join(places), "HOME": str(folder)},
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(5)]
        assert all(lines), (folder / "stderr").read_text()
        self.client = httpx.Client(base_url=lines[0].split()[-1], timeout=20)
        self.admin = httpx.Client(base_url="/".join(lines[1].split()[-1].split("/")[:3]), timeout=20)

    def ask(self, words: str = "Does water boil?", **body: Any) -> httpx.Response:
        """The answer to a question."""
        turns = [{"role": "user", "content": words}]
        response = self.client.post("/v1/chat/completions", json={"model": "auto", "messages": turns} | body)
        assert response.status_code == 200, response.text
        return response

    def said(self, words: str = "Does water boil?", **body: Any) -> str:
        """What the cache did for it."""
        return self.ask(words, **body).headers["x-equipoise-cache"]

    def redis(self) -> dict[str, Any]:
        """How look-ups in Redis went."""
        return dict(self.admin.get("/admin/cache").json()["redis"])

    def until(self, true: Callable[[], Any], seconds: float = 10.0) -> None:
        """Wait for something to be true."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, self.admin.get("/admin/cache").text
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as an operator would."""
        self.client.close()
        self.admin.close()
        self.process.terminate()
        self.process.communicate(timeout=30)
        self.errors.close()
