"""Web pages in a browser as clients of the public listener: which may ask, and what they are told.

Without keys the listener believes whoever is on this machine, and a page of the web in a browser here is not: it could post
a question without being able to read the answer, or reach us by a name of its own that resolves to this machine. So where
no key is needed, a question that says it comes from a page comes from one of this machine or of a named origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from equipoise.gateway.problems import Problem
from equipoise.http import Request, Response

ORIGIN, ASKED_METHOD = b"origin", b"access-control-request-method"
METHODS, HEADERS = b"GET, POST, OPTIONS", b"*, authorization"
VARY = (b"vary", b"origin")
PROBES = frozenset({"/livez", "/readyz"})
ASKED_BY_NAME = (
    "Without a key this listener is asked by an address of this machine, not by a name that any page could have; for a proxy "
    "here: `listen.trusted_proxies`, or the name in `cors.origins`."
)


class Pages:
    """Named origins, exactly. What is sent never allows credentials: a page shows a key of its own in a header.

    Of a listener that only this machine reaches (`here`) a page can still read, by a name of its own that leads here (DNS
    rebinding): a question of that page says no origin, but in Host it says the name.
    """

    def __init__(self, origins: Iterable[str] = (), max_age: int = 600, *, here: bool = False) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._names = frozenset(urlsplit(origin.decode("ascii")).hostname for origin in self._origins)
        self._max_age, self._here = b"%d" % max_age, here
        self.any = bool(self._origins)
        """May any page of another origin ask? Else responses need not be shown to any."""

    def preflight(self, request: Request) -> Response | None:
        """The answer to a browser that asks whether a page may ask; None for everything else."""
        if request.method != "OPTIONS" or ASKED_METHOD not in request.headers:
            return None
        if request.headers.get(ORIGIN) not in self._origins:
            return None
        fields = (
            (b"access-control-allow-origin", request.headers[ORIGIN]),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", HEADERS),
            (b"access-control-max-age", self._max_age),
            VARY,
        )
        return Response(204, fields)

    def shown(self, request: Request, response: Response) -> Response:
        """The response with what lets a page of a named origin read it."""
        if not self._origins:
            return response
        fields = [*response.headers, VARY]
        origin = request.headers.get(ORIGIN)
        if origin in self._origins and origin is not None:
            fields += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"*")]
        return Response(response.status, fields, response.body)  # a kept answer is given to others, too

    def by_own_name(self, request: Request) -> bool:
        """Is this machine asked by an address, or by a name that no page of the web can have?"""
        if not self._here or not is_here(request.client):
            return True
        name = host_name(request.headers.get(b"host", b"").decode("latin-1"))
        return "." not in name or _is_address(name) or name.endswith(".localhost") or name in self._names

    def require_own_name(self, request: Request) -> None:
        """Raise Problem 403 where a page could be behind the name that this machine is asked by; probes may come by any."""
        if request.path not in PROBES and not self.by_own_name(request):
            raise Problem(403, "forbidden_host", ASKED_BY_NAME, should_retry=False)

    def require_own(self, request: Request) -> None:
        """Raise Problem 403 for a page of an origin that is neither named nor of this machine."""
        origin = request.headers.get(ORIGIN)
        if origin is None or origin in self._origins or _of_here(origin):
            return
        message = "Pages of this origin may not ask a gateway without keys; `cors.origins` names those that may."
        raise Problem(403, "forbidden_origin", message, should_retry=False)


def host_name(host: str) -> str:
    """The name of a Host field without its port; IPv6 addresses stand in brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def is_here(address: str) -> bool:
    """Is it this machine, by its own address?"""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _of_here(origin: bytes) -> bool:
    try:
        host = urlsplit(origin.decode("ascii")).hostname or ""
    except ValueError:  # UnicodeDecodeError is one
        return False
    return host == "localhost" or is_here(host)
