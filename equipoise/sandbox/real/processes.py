"""Programs started as children: found a port for, waited for, and stopped by their own process id."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import equipoise

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")
OURSELVES = {"PYTHONPATH": str(Path(equipoise.__file__).parents[1])}
"""For children that run our own modules, from wherever this one was imported."""
STOP_SECONDS = 10.0


class DidNotStart(Exception):
    """A child ended, or gave no sign of life in time; the message holds the end of its log."""


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(
    port: int, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30
) -> tuple[int, Any]:
    """One request to 127.0.0.1; the status and the answer, decoded if it is JSON. Raises OSError when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        data = answer.read()
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, json.loads(data) if is_json else data.decode("utf-8", "replace")
    except http.client.HTTPException as error:
        raise ConnectionError(f"no whole answer from port {port}: {type(error).__name__}") from error
    finally:
        connection.close()


class Child:
    """One program; its output goes to a log file, its variables are only those given and a few of ours.

    None of the caller's keys (`OPENAI_API_KEY` ...) reaches it.
    """

    def __init__(
        self, name: str, command: Sequence[str], *, port: int, log: Path, ready: str = "/health",
        variables: Mapping[str, str] | None = None, directory: Path | None = None,
    ) -> None:  # fmt: skip
        self.name, self.command, self.port, self.log, self.ready_path = name, list(command), port, log, ready
        kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        self.variables, self.directory = {**kept, **(variables or {})}, directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own words
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.variables, cwd=self.directory
            )

    def wait_ready(self, seconds: float = 120.0) -> float:
        """Wait until it answers 200; returns how long that took. Raises DidNotStart."""
        begun = time.monotonic()
        while not self.answers():
            if self.process is None or self.process.poll() is not None:
                raise DidNotStart(f"{self.name} ended at once:\n{self.log_end()}")
            if time.monotonic() - begun > seconds:
                raise DidNotStart(f"{self.name} was not ready after {seconds:.0f} s:\n{self.log_end()}")
            time.sleep(0.1)
        return time.monotonic() - begun

    def answers(self) -> bool:
        try:
            return call(self.port, "GET", self.ready_path, timeout=5)[0] == 200
        except (OSError, ValueError):
            return False

    def log_end(self, characters: int = 2000) -> str:
        return self.log.read_text(errors="replace")[-characters:] if self.log.exists() else ""

    def stop(self) -> None:
        """Ask it to end, insist after ten seconds; nothing happens if it has ended."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
