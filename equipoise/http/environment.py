"""Which proxy the environment asks for, as curl and Go's net/http read it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address, ip_network


def proxy_for(scheme: str, host: str, port: int, environment: Mapping[str, str] | None = None) -> str:
    """The proxy's URL, or "" for a direct connection.

    `https_proxy`, `http_proxy`, `all_proxy`, in either case; loopback is never proxied, nor what `no_proxy` names.
    """
    environment = os.environ if environment is None else environment
    proxy = _look_up(environment, f"{scheme}_proxy") or _look_up(environment, "all_proxy")
    if not proxy or _is_loopback(host) or _is_excepted(host, port, _look_up(environment, "no_proxy")):
        return ""
    return proxy


def _look_up(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    return any(_covers(exception.strip().lower(), host.lower(), port) for exception in exceptions.split(","))


def _covers(exception: str, host: str, port: int) -> bool:
    if exception in {"", "*"}:
        return exception == "*"
    if "/" in exception:
        return _covers_network(exception, host)
    name, colon, number = exception.rpartition(":")
    if colon and number.isdigit() and name.count(":") == 0:
        exception = name
        if int(number) != port:
            return False
    exception = exception.strip("[]").removeprefix("*").removeprefix(".")
    return host == exception or host.endswith("." + exception)


def _covers_network(exception: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(exception, strict=False)
    except ValueError:
        return False
