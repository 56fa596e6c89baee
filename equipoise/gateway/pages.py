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


class Pages:
    """Named origins, exactly. What is sent never allows credentials: a page shows a key of its own in a header."""

    def __init__(self, origins: Iterable[str] = (), max_age: int = 600) -> None:
        self._origins = frozenset(origin.encode("ascii") for origin in origins)
        self._max_age = b"%d" % max_age

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

    def require_own(self, request: Request) -> None:
        """Raise Problem 403 for a page of an origin that is neither named nor of this machine."""
        origin = request.headers.get(ORIGIN)
        if origin is None or origin in self._origins or _of_here(origin):
            return
        message = "Pages of this origin may not ask a gateway without keys; `cors.origins` names those that may."
        raise Problem(403, "forbidden_origin", message, should_retry=False)


def is_here(address: str) -> bool:
    """Is it this machine, by its own address?"""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _of_here(origin: bytes) -> bool:
    try:
        host = urlsplit(origin.decode("ascii")).hostname or ""
    except ValueError:  # UnicodeDecodeError is one
        return False
    return host == "localhost" or is_here(host)
