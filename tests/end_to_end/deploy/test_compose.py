"""Compose itself reads the file, hadolint the Dockerfile; what would run in the containers is run where it is here."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.deployment import tools
from equipoise.config.load import load
from equipoise.gateway.openapi import LISTENERS
from equipoise.http import HTTPError, Pool
from tests.end_to_end.deploy.conftest import Checked
from tests.end_to_end.deploy.reading import KEY, documents, variables
from tests.end_to_end.http.servers import command, free_port
from tests.end_to_end.postgres.server import PASSWORD, PostgresServer

DEPLOY = tools.ROOT / "deploy"
NAMES = (
    "EQUIPOISE_API_KEY",
    "EQUIPOISE_SCRAPER_KEY",
    "OPENAI_API_KEY",
    "REDIS_PASSWORD",
    "POSTGRES_PASSWORD",
    "GRAFANA_ADMIN_PASSWORD",
)
SYSTEM = {"PATH": "/usr/bin:/bin"}
SCRAPER = KEY[::-1]
SECRETS = {name: f"it's {name} $HOME" for name in NAMES}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """What Compose understands, by service."""
    done = tools.run(
        "docker-compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--format", "json", environ=SECRETS
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_without_a_password_nothing_starts() -> None:
    """Each that is missing is named, one by one and in the example."""
    example = (DEPLOY / "compose" / ".env.example").read_text()
    for name in NAMES:
        assert f"\n{name}=\n" in example
        environ = {other: value for other, value in SECRETS.items() if other != name}
        done = tools.run("docker-compose", "-f", str(DEPLOY / "compose.yaml"), "config", "-q", environ=environ)
        assert done.returncode != 0
        assert f"{name} is missing a value" in done.stderr


def test_no_container_may_do_more_than_it_must(services: dict[str, Any]) -> None:
    """Nothing is written but in volumes, no capability, no new privileges, bounded memory and logs; no port for strangers."""
    assert set(services) == {"gateway", "redis", "postgres", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        assert service["healthcheck"]["test"], name
        assert service["logging"]["options"]["max-size"], name
        assert not [port for port in service.get("ports", []) if port["host_ip"] != "127.0.0.1"], name
        assert ":latest" not in service["image"], name
        for volume in service.get("volumes", []):
            assert volume["type"] == "volume" or (volume["read_only"] and Path(volume["source"]).exists()), volume
    assert [name for name, of in services.items() if "default" not in of["networks"]] == ["postgres", "redis"]


def test_the_gateway_takes_its_configuration(services: dict[str, Any], checked: Checked) -> None:
    """The very file, with no variable that Compose does not give it; and it has time to drain."""
    file = DEPLOY / "compose" / "gateway" / "equipoise.yaml"
    gateway = services["gateway"]
    assert set(variables(file.read_text())) <= set(gateway["environment"])
    checked(file.read_text(), variables(file.read_text()))
    listen = load(file, environ=variables(file.read_text())).config.listen
    assert gateway["ports"][0]["target"] == listen.port
    assert float(gateway["stop_grace_period"].removesuffix("s")) > listen.drain_notice_seconds + listen.drain_seconds
    probe = " ".join(gateway["healthcheck"]["test"])
    assert any(f":{listen.port}{operation.path}'" in probe for operation in LISTENERS["public"])


def test_prometheus_and_grafana_find_what_they_are_given(services: dict[str, Any], tmp_path: Path) -> None:
    """promtool reads the configuration where the volumes put it; Grafana's source is that Prometheus."""
    for volume in services["prometheus"]["volumes"]:
        if volume["type"] == "bind":
            text = Path(volume["source"]).read_text().replace(" /tmp/", f" {tmp_path}/")
            (tmp_path / Path(volume["target"]).name).write_text(text)
    (tmp_path / "scraper.key").write_text(KEY)
    done = subprocess.run(
        [command("promtool"), "check", "config", "prometheus.yaml"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (read,) = documents((tmp_path / "prometheus.yaml").read_text())
    assert read["scrape_configs"][0]["static_configs"][0]["targets"] == ["gateway:4000"]
    assert "> /tmp/scraper.key;" in services["prometheus"]["entrypoint"][-1]
    mounted = {volume["target"]: Path(volume["source"]) for volume in services["grafana"]["volumes"]}
    (source,) = documents(mounted["/etc/grafana/provisioning/datasources/prometheus.yaml"].read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    (provider,) = documents(mounted["/etc/grafana/provisioning/dashboards/equipoise.yaml"].read_text())
    dashboards = mounted[provider["providers"][0]["options"]["path"]]
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (dashboards / Path(home).name).exists()


@pytest.fixture
def redis(services: dict[str, Any], tmp_path: Path) -> Iterator[tuple[str, str, subprocess.Popen[bytes]]]:
    """The container's own command, by Debian's Redis on another port and in another folder; and its health check."""
    command("redis-server")
    port, place = str(free_port()), tmp_path / "redis"
    place.mkdir()
    shell = [part.replace("$$", "$") for part in services["redis"]["command"]]
    shell[-1] = shell[-1].replace("/tmp/", f"{place}/").replace("/data", f"{place} --port {port} --bind 127.0.0.1")
    check = services["redis"]["healthcheck"]["test"][1].replace("$$", "$").replace("redis-cli", f"redis-cli -p {port}")
    server = subprocess.Popen(shell, env=SYSTEM | {"REDIS_PASSWORD": KEY}, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while not healthy(check, KEY):
        assert time.monotonic() < until
        time.sleep(0.05)
    yield port, check, server
    server.terminate()
    server.wait(10)


def healthy(check: str, password: str) -> bool:
    """What the container's health check says."""
    environ = SYSTEM | {"REDIS_PASSWORD": password}
    return subprocess.run(["sh", "-c", check], env=environ, capture_output=True, check=False).returncode == 0


def test_redis_wants_the_password(redis: tuple[str, str, subprocess.Popen[bytes]]) -> None:
    """Which is not to be seen in the list of processes."""
    _, check, server = redis
    assert not healthy(check, "another")
    assert KEY.encode() not in Path(f"/proc/{server.pid}/cmdline").read_bytes()


async def test_the_gateway_is_ready_beside_both(
    redis: tuple[str, str, subprocess.Popen[bytes]], services: dict[str, Any], tmp_path: Path
) -> None:
    """Its own configuration and variables, with a real Redis and a real PostgreSQL; the scraper's key asks nothing."""
    postgres = PostgresServer()
    try:
        postgres.start()
        postgres.database("equipoise")
        text = (DEPLOY / "compose" / "gateway" / "equipoise.yaml").read_text()
        for theirs, ours in (
            ("redis:6379", f"127.0.0.1:{redis[0]}"), ("postgres:5432", f"127.0.0.1:{postgres.port}"),
            ("host: 0.0.0.0", "host: 127.0.0.1"), ("/var/lib/equipoise", str(tmp_path / "state")),
        ):  # fmt: skip
            assert theirs in text
            text = text.replace(theirs, ours)
        (tmp_path / "equipoise.yaml").write_text(text)
        given = dict.fromkeys(services["gateway"]["environment"], KEY) | {"EQUIPOISE_SCRAPER_KEY": SCRAPER}
        environ = SYSTEM | given | {"PGPASSWORD": PASSWORD, "PYTHONPATH": str(tools.ROOT)}
        port = free_port()
        serve = [sys.executable, "-m", "equipoise", "serve", "--config", "equipoise.yaml", "--port", str(port)]
        with subprocess.Popen(serve, env=environ, cwd=tmp_path, stdout=subprocess.DEVNULL) as gateway:
            pool = Pool(f"http://127.0.0.1:{port}")
            until = time.monotonic() + 20
            while "readyz check passed" not in (said := await answered(pool, "GET", "/readyz?verbose")):
                assert time.monotonic() < until, said
                await asyncio.sleep(0.1)
            assert "[+]redis ok" in said
            body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "?"}]}).encode()
            assert "route_not_allowed" in await answered(pool, "POST", "/v1/chat/completions", body)
            await pool.close()
            gateway.terminate()
            assert gateway.wait(20) == 0
    finally:
        postgres.remove()


async def answered(pool: Pool, method: str, path: str, body: bytes = b"") -> str:
    """What the gateway says, nothing before it listens."""
    fields = ((b"authorization", f"Bearer {SCRAPER}".encode()), (b"content-type", b"application/json"))
    try:
        response = await pool.request(method, path, headers=fields, body=body)
    except HTTPError:
        return ""
    return (await response.read()).decode()


def test_the_dockerfile_is_in_order() -> None:
    """hadolint has nothing to say."""
    done = tools.run("hadolint", str(DEPLOY / "Dockerfile"))
    assert (done.returncode, done.stdout) == (0, "")
