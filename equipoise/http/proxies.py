"""Who is asking: believed from a trusted proxy, taken from the socket otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from equipoise.http.messages import Request

FORWARDED: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip"}
)
UNIX: Final = "unix"


class TrustedProxies:
    """Addresses or networks whose `X-Forwarded-*` count; `unix` stands for every peer of a Unix socket."""

    def __init__(self, trusted: Iterable[str]) -> None:
        trusted = list(trusted)
        self._unix = UNIX in trusted
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(t, strict=False) for t in trusted if t != UNIX]

    def peer(self, name: Any) -> tuple[str, bool]:
        """The address of a peer and whether it is trusted."""
        if not isinstance(name, tuple):
            return UNIX, self._unix
        address = plain_address(name[0])
        return address, self._trusts(address)

    def apply(self, request: Request, *, trusted: bool) -> None:
        """Take client and scheme from the proxy's fields, or drop the fields if it is not ours to trust."""
        if trusted:
            self._believe(request)
        else:
            for name in FORWARDED:
                request.headers.pop(name, None)

    def _believe(self, request: Request) -> None:
        hops = request.headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
        request.client = self._first_stranger([hop.strip() for hop in hops]) or request.client
        scheme = request.headers.get(b"x-forwarded-proto", b"").rsplit(b",", 1)[-1].strip().lower()
        if scheme in {b"http", b"https"}:
            request.scheme = scheme.decode()

    def _first_stranger(self, hops: list[str]) -> str | None:
        """From the right, the first hop that is not one of our proxies: what is left of it anyone may have written."""
        nearest = None
        for hop in reversed(hops):
            address = plain_address(hop)
            if address == "":
                return nearest
            nearest = address
            if not self._trusts(address):
                return address
        return nearest

    def _trusts(self, address: str) -> bool:
        if not self._networks or address == "":
            return False
        candidate = ip_address(address)
        return any(candidate in network for network in self._networks)


def plain_address(text: str) -> str:
    """An IP address in its usual form, IPv4 in IPv6 unwrapped; empty if it is none."""
    text = text.partition("%")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
