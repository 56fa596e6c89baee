"""A Redis on a port of its own, which can be stopped, frozen and started again."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path


class RedisServer:
    """One server; what it kept is gone when it is started again."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self._program = folder, program
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        arguments = [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*arguments, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(400):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("redis-server does not listen")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self.thaw()
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """From now on it takes what is sent and says nothing, as a black hole does."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def redis_server(folder: Path, program: str) -> Iterator[RedisServer]:
    """One that runs as long as the block."""
    server = RedisServer(folder, program)
    server.start()
    try:
        yield server
    finally:
        server.stop()
