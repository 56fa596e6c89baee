"""A PostgreSQL of our own: made, started, stopped in the middle of anything, and removed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psycopg

from tests.end_to_end.http.servers import command, free_port

PASSWORD = "a password of the tests"
STARTS_IN = 20.0


class PostgresServer:
    """One server on a port of its own, with a password; `url` is how to reach a database of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="equipoise-postgres-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, secret):
                shutil.chown(path, "nobody", "nogroup")
        made = [command("initdb"), "-D", self._data, "-U", "equipoise", "-A", "scram-sha-256", "--pwfile", str(secret)]
        subprocess.run(as_nobody([*made, "-E", "UTF8", "--locale=C", "--no-sync"]), check=True, capture_output=True)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def url(self, database: str = "postgres") -> str:
        """Where a database of it is."""
        return f"postgresql://equipoise:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",  # what is tested survives the end of processes, not of the machine
            "max_connections": "200",
        }
        said = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                as_nobody([command("postgres"), "-D", self._data, "-p", str(self.port), *said]),
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        until = time.monotonic() + STARTS_IN
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def database(self, name: str) -> str:
        """Make an empty database; gives its address."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return self.url(name)

    def kill(self) -> None:
        """kill -9, every process of it."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """It is there and says nothing more: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """The end of a pause."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and take its files away."""
        self.go_on()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, which: signal.Signals) -> None:
        if self._process is None:
            return
        root = self._process.pid
        for pid in [root, *children_of(root)]:
            with suppress(ProcessLookupError):
                os.kill(pid, which)


def children_of(parent: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append(int(place.parent.name))
    return found


def as_nobody(arguments: list[str]) -> list[str]:
    """The command without root, which PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return arguments
    return [command("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups", *arguments]
