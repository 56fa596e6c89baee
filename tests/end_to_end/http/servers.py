"""Debian's servers, each on a port of its own for as long as a block runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

PACKAGES = {
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "node": "nodejs",
    "curl": "curl",
    "wrk": "wrk",
    "h2load": "nghttp2-client",
    "openssl": "openssl",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "chromium": "chromium",
    "npm": "npm",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "setpriv": "util-linux",
}
_POSTGRES = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
SEARCH_PATH = ":".join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", *_POSTGRES])


def command(name: str) -> str:
    """The path of a program, or a skipped test that says which package has it."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return path


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(arguments: list[str], port: int, folder: Path) -> AsyncIterator[int]:
    """A program that listens on this port; ended, and waited for, when the block ends."""
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=folder)
        try:
            await _until_listening(process, port, folder)
            yield port
        finally:
            process.terminate()
            process.wait(10)


async def _until_listening(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    for _ in range(400):
        if process.poll() is not None:
            break
        with contextlib.suppress(ConnectionRefusedError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.025)
    raise AssertionError((folder / "output").read_text())


def nginx(folder: Path, server: str, http: str = "") -> tuple[list[str], int]:
    """The command for an nginx with this `server` block (PORT stands for its port), without master or root."""
    port = free_port()
    paths = "".join(
        f"{name}_temp_path {folder}/{name}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
        f"events {{ worker_connections 4096; }}\n"
        f"http {{ access_log off; {paths}{http}\n server {{ {server.replace('PORT', str(port))} }} }}\n"
    )
    return [command("nginx"), "-p", str(folder), "-c", str(configuration), "-e", "stderr"], port


def haproxy(folder: Path, upstream_port: int) -> tuple[list[str], int]:
    """The command for an haproxy with its default strictness in front of one server."""
    port = free_port()
    configuration = folder / "haproxy.cfg"
    configuration.write_text(
        "defaults\n mode http\n timeout connect 2s\n timeout client 2s\n timeout server 2s\n"
        f"frontend f\n bind 127.0.0.1:{port}\n default_backend b\n"
        f"backend b\n server s 127.0.0.1:{upstream_port}\n"
    )
    return [command("haproxy"), "-db", "-f", str(configuration)], port
