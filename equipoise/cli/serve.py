"""`equipoise serve`"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.exits import REFUSED, Failure
from equipoise.cli.keys import stored_admin_keys, stored_keys
from equipoise.config.schema import Config
from equipoise.config.sections import ListenConfig


def serve(
    *,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    host: str | None = None,
    port: int | None = None,
    admin_port: int | None = None,
    workers: int | None = None,
    server: Literal["own", "uvicorn"] | None = None,
    state_dir: str | None = None,
    log_level: Literal["debug", "info", "warning", "error"] | None = None,
    log_format: Literal["console", "json"] | None = None,
    insecure: bool = False,
) -> int:
    """Run the gateway until SIGTERM or Ctrl-C; running answers then finish before it stops.

    Parameters
    ----------
    config: Path
        The file; otherwise $EQUIPOISE_CONFIG, ./equipoise.yaml, pyproject.toml [tool.equipoise], the user's, the
        system's; without any, the backends that keys and URLs in the environment name.
    host: str
        Address to listen on (default 127.0.0.1).
    port: int
        Port to listen on (default 4000); 0 lets the system choose.
    admin_port: int
        Port of the admin listener (default: the next one).
    workers: int
        Processes that share the port (default 1).
    server: Literal["own", "uvicorn"]
        The HTTP server.
    state_dir: str
        Where state is kept.
    log_level: Literal["debug", "info", "warning", "error"]
        The least important lines that are logged.
    log_format: Literal["console", "json"]
        Log lines for people or for machines.
    insecure: bool
        Listen beyond this machine without keys.
    """
    flags = {
        "listen.host": host,
        "listen.port": port,
        "listen.admin_port": admin_port,
        "listen.workers": workers,
        "server": server,
        "state_dir": state_dir,
        "log.level": log_level,
        "log.format": log_format,
    }
    loaded = configuration(config, flags)
    guard(loaded.config, insecure=insecure)
    if loaded.config.listen.workers > 1:
        from equipoise.cli.workforce import supervise

        return asyncio.run(supervise(loaded, flags, insecure=insecure))
    from equipoise.cli.serving import run

    return looped(run(loaded, flags, admission(loaded.config.listen, insecure=insecure)))


def admission(listen: ListenConfig, *, insecure: bool) -> Callable[[Config], None]:
    """Who refuses later configurations that must not be served at this address."""
    return partial(guard, insecure=insecure, listen=listen)


def has_keys(config: Config) -> bool:
    """Are there keys, in the configuration or made with `equipoise keys create`?"""
    by_token = config.jwt is not None and config.jwt.tenant_claim is not None
    return bool(config.keys) or by_token or stored_keys(config)


def has_admin_keys(config: Config) -> bool:
    """Must people show who they are at the admin listener?"""
    by_token = config.jwt is not None and config.jwt.role_claim is not None
    return config.listen.admin_key is not None or bool(config.admin_keys) or by_token or stored_admin_keys(config)


def guard(config: Config, *, insecure: bool, listen: ListenConfig | None = None) -> None:
    """Refuse to let strangers spend money, or to show them the admin listener, unless that was said to be wanted.

    `listen` is where the gateway listens already, whatever a new configuration says. Raises Failure.
    """
    if insecure:
        return
    at = listen or config.listen
    if not is_loopback(at.host) and not has_keys(config):
        hint = "`equipoise keys create`, keys: or EQUIPOISE_API_KEY give it keys; --insecure serves everybody"
        raise Failure(f"{at.host} can be reached from elsewhere and no key is configured", REFUSED, hint)
    if not is_loopback(at.admin_host) and not has_admin_keys(config):
        hint = (
            "set admin_keys: or EQUIPOISE_ADMIN_KEY, or `equipoise keys create NAME --role admin`; --insecure opens it"
        )
        raise Failure(f"the admin address {at.admin_host} can be reached from elsewhere", REFUSED, hint)


def is_loopback(host: str) -> bool:
    """Is this an address that only this machine reaches?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def looped(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end, on uvloop where there is one."""
    if sys.platform == "win32":
        return asyncio.run(main)
    import uvloop

    return uvloop.run(main)
