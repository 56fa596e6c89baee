"""A gateway of two workers as users run it: the shipped command, on ports the system chose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from equipoise.config.environment import EVERY_NAME

ROOT = Path(__file__).parents[3]
ANSWERS = """\
import asyncio, os

async def answer(question):
    if "fail" in question:
        raise RuntimeError("it broke")
    if "slowly" in question:
        await asyncio.sleep(1.0)
    while "held" in question and os.path.exists("hold"):
        await asyncio.sleep(0.02)
    return str(os.getpid())
"""
SECONDS = 15.0


@dataclass
class Gateway:
    """The parent's process, and where it listens."""

    process: subprocess.Popen[str]
    folder: Path
    url: str = ""
    admin_url: str = ""

    def begin(self) -> None:
        """Wait for the five lines."""
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline() for _ in range(5)]
        assert all(lines), (self.folder / "stderr").read_text()
        self.url, self.admin_url = lines[0].split()[-1], "/".join(lines[1].split()[-1].split("/")[:3])

    def fetch(self, path: str, body: Any = None, *, admin: bool = False, key: str | None = None) -> tuple[int, str]:
        """Status and body, each over a connection of its own: the system gives it to any worker."""
        data = None if body is None else json.dumps(body).encode()
        head = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request((self.admin_url if admin else self.url) + path, data, head)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def ask(self, words: str = "hello", key: str | None = None) -> tuple[int, str]:
        """Status of a question, and the process that answered it (or the error's code)."""
        body = {"model": "auto", "messages": [{"role": "user", "content": words}]}
        status, text = self.fetch("/v1/chat/completions", body, key=key)
        told = json.loads(text)
        return status, told["choices"][0]["message"]["content"] if status == 200 else told["error"]["code"]

    def metric(self, line: str) -> float:
        """One sample of /metrics; 0 where there is none."""
        status, text = self.fetch("/metrics")
        assert status == 200, text
        return next((float(of.rpartition(" ")[2]) for of in text.splitlines() if of.startswith(line + " ")), 0.0)

    def workers(self) -> dict[int, int]:
        """Number to process id, of those that answer."""
        told = json.loads(self.fetch("/admin/backends", admin=True)[1])
        return {of["worker"]: of["pid"] for of in told["workers"]["running"] if of["ready"]}

    def kill(self, number: int) -> None:
        """kill -9 of a worker; returns when it is gone, and with it the connections that the system had given to it."""
        pid = self.workers()[number]
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: pid not in self.workers().values())

    def held(self, questions: int) -> tuple[list[threading.Thread], list[tuple[int, str]]]:
        """So many questions under way at once, which are answered when `let_go` was called; and the list of what came of them."""
        (self.folder / "hold").touch()
        told = list[tuple[int, str]]()

        def asked() -> None:
            try:
                told.append(self.ask("held"))
            except OSError as error:
                told.append((0, type(error).__name__))

        threads = [threading.Thread(target=asked) for _ in range(questions)]
        for thread in threads:
            thread.start()
        self.until(lambda: self.backends()["oracle"]["in_flight"] == questions)
        return threads, told

    def let_go(self) -> None:
        """What is held is answered."""
        (self.folder / "hold").unlink()

    def backends(self) -> dict[str, dict[str, Any]]:
        """The rows of the backends."""
        return {row["id"]: row for row in json.loads(self.fetch("/admin/backends", admin=True)[1])["backends"]}

    def until(self, true: Callable[[], Any], seconds: float = SECONDS) -> None:
        """Wait for something to be true."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, (self.folder / "stderr").read_text()
            time.sleep(0.05)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code, and what was written to stderr."""
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode, (self.folder / "stderr").read_text()


Start = Callable[..., Gateway]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a gateway with this configuration."""
    begun: list[Gateway] = []

    def started(text: str, *arguments: str, workers: int = 2, port: str = "0") -> Gateway:
        (tmp_path / "answers.py").write_text(ANSWERS)
        (tmp_path / "equipoise.yaml").write_text(text)
        ours = {name: value for name, value in os.environ.items() if name not in EVERY_NAME}
        environ = {name: value for name, value in ours.items() if not name.startswith("EQUIPOISE_")}
        with (tmp_path / "stderr").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "equipoise", "serve", "--port", port, "--workers", str(workers), *arguments],
                cwd=tmp_path,
                env=environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        gateway = Gateway(process, tmp_path)
        begun.append(gateway)
        return gateway

    yield started
    for gateway in begun:
        if gateway.process.poll() is None:
            gateway.stop()
        assert gateway.process.stdout is not None
        gateway.process.stdout.close()
