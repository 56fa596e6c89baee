"""The balancers that are put before the same three backends, each configured to lose as little as it can."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

from bench.chaos import envoy
from tests.end_to_end.http.servers import PACKAGES, SEARCH_PATH, free_port

Contestant: TypeAlias = Callable[[Sequence[int], Path], AbstractAsyncContextManager[str]]
PLACE = Path(__file__).parents[2] / ".e2e" / "envoy"
HAPROXY = """\
global
 maxconn 4000
defaults
 mode http
 timeout connect 2s
 timeout client 60s
 timeout server 60s
 option redispatch 1
 retries 3
 retry-on all-retryable-errors
frontend f
 bind 127.0.0.1:{port}
 default_backend b
backend b
 balance leastconn
 option httpchk GET /v1/models
 default-server check inter 500ms fall 2 rise 2 observe layer7 error-limit 5 on-error mark-down
{servers}
"""


@contextlib.asynccontextmanager
async def equipoise(ports: Sequence[int], folder: Path) -> AsyncIterator[str]:
    """`equipoise serve` with its defaults, ledger and metrics on."""
    backends = {
        f"llm-{number}": {"backend_type": "local_llm", "endpoint_url": f"http://127.0.0.1:{port}/v1", "model": "m"}
        for number, port in enumerate(ports)
    }
    config = folder / "equipoise.json"
    config.write_text(json.dumps({"backend_instances": backends, "state_dir": str(folder), "log": {"access": False}}))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EQUIPOISE_")}
    arguments = ["-m", "equipoise", "serve", "-c", str(config), "--port", "0"]
    async with process(sys.executable, *arguments, folder=folder, environ=environ) as running:
        assert running.stdout is not None
        lines = [(await running.stdout.readline()).decode() for _ in range(5)]
        found = re.search(r"http://[\d.:]+", lines[0])
        if found is None:
            raise RuntimeError((folder / "log").read_text())
        yield found[0]


@contextlib.asynccontextmanager
async def haproxy(ports: Sequence[int], folder: Path) -> AsyncIterator[str]:
    """Debian's haproxy: redispatch, every retry it can make, checks twice a second and by traffic."""
    port = free_port()
    servers = "\n".join(f" server s{number} 127.0.0.1:{each}" for number, each in enumerate(ports))
    (folder / "haproxy.cfg").write_text(HAPROXY.format(port=port, servers=servers))
    async with process(_debian("haproxy"), "-db", "-f", str(folder / "haproxy.cfg"), folder=folder):
        try:
            await until_listening(port)
        except RuntimeError as error:
            raise RuntimeError(f"{error}: {(folder / 'log').read_text()[-500:]}") from error
        yield f"http://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def envoy_proxy(ports: Sequence[int], folder: Path) -> AsyncIterator[str]:
    """Envoy: least request, retries on everything that is no answer, outlier ejection after three failures."""
    cluster: dict[str, Any] = {
        "lb_policy": "LEAST_REQUEST",
        "outlier_detection": {
            "consecutive_5xx": 3, "consecutive_gateway_failure": 3, "enforcing_consecutive_gateway_failure": 100,
            "interval": "0.5s", "base_ejection_time": "5s", "max_ejection_percent": 50,
        },
        "circuit_breakers": {
            "thresholds": [{"max_connections": 10_000, "max_pending_requests": 10_000, "max_requests": 10_000, "max_retries": 1_000}]
        },
    }  # fmt: skip
    retry = {
        "retry_on": "5xx,reset,connect-failure,refused-stream",
        "num_retries": 3,
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 3,
    }
    proxy = envoy.Envoy(str(envoy.install(PLACE)), folder)
    port = proxy.listen(ports, route={"retry_policy": retry}, cluster=cluster)
    await proxy.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await proxy.stop()


def _debian(name: str) -> str:
    """The path of one of Debian's programs. Raises RuntimeError that says how to get it."""
    path = shutil.which(name, path=SEARCH_PATH)
    if path is None:
        raise RuntimeError(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return path


@contextlib.asynccontextmanager
async def process(
    *command: str, folder: Path, environ: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for as long as the block runs; what it complains of goes to `log` in the folder."""
    with (folder / "log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=log, env=environ
        )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


async def until_listening(port: int) -> None:
    """Wait until somebody accepts connections there. Raises RuntimeError after ten seconds."""
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise RuntimeError(f"nobody listens on port {port}")


CONTESTANTS: dict[str, Contestant] = {"equipoise": equipoise, "haproxy": haproxy, "envoy": envoy_proxy}
