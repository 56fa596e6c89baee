"""Is it alive, may it be sent traffic, how are its backends: the endpoints of probes and scrapers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from equipoise.gateway.dialects.base import encode
from equipoise.gateway.headers import JSON, TEXT, clean
from equipoise.gateway.problems import refusal, wrong_key
from equipoise.gateway.together import Silent, Together
from equipoise.http import Request, Response

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer

Endpoint: TypeAlias = Callable[[Request, str], Coroutine[Any, Any, Response]]
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")


class Health:
    """Answers probes in the form of Kubernetes' own servers. While `draining`, readiness fails and all else goes on."""

    def __init__(
        self,
        balancer: LoadBalancer,
        *,
        ready: Callable[[], dict[str, str]],
        together: Together,
        may_see: Callable[[Request], bool],
        may_scrape: Callable[[Request], bool] = lambda request: True,
        configuration: Callable[[], dict[str, object]] | None = None,
    ) -> None:
        self._configuration = configuration
        self._balancer, self._ready, self._together = balancer, ready, together
        self._may_see, self._may_scrape = may_see, may_scrape
        self.draining = False

    def routes(self) -> dict[str, Endpoint]:
        """Path to endpoint; all are read only."""
        return {"/livez": self.live, "/readyz": self.readiness, "/health": self.report, "/metrics": self.scrape}

    async def live(self, request: Request, request_id: str) -> Response:
        """The process runs and its loop turns."""
        return Response(200, (TEXT, NO_STORE), b"ok")

    async def readiness(self, request: Request, request_id: str) -> Response:
        """200 while requests are welcome. `?verbose` lists every check."""
        checks = self.checks()
        good = all(map(_good, checks.values()))
        if good and "verbose" not in _names(request.query):
            return Response(200, (TEXT, NO_STORE), b"ok")
        lines = [_line(name, word) for name, word in checks.items()]
        lines.append(b"readyz check passed" if good else b"readyz check failed")
        return Response(200 if good else 503, (TEXT, NO_STORE), b"\n".join(lines) + b"\n")

    async def report(self, request: Request, request_id: str) -> Response:
        """The state as JSON; what lies behind it is shown only to holders of a key."""
        checks = self.checks()
        good = all(map(_good, checks.values()))
        body: dict[str, object] = {"status": "healthy" if good else "unhealthy"}
        if self._may_see(request):
            body |= {"checks": checks, **await self._status()}
            if self._configuration is not None and "configuration" not in body:
                body["configuration"] = self._configuration()
        return Response(200 if good else 503, (JSON, NO_STORE), encode(body))

    async def scrape(self, request: Request, request_id: str) -> Response:
        """Prometheus' text format: backends, and sums of cost, so not for everybody off this machine."""
        if not self._may_scrape(request):
            return refusal(wrong_key(), request_id)
        try:
            return Response(200, (METRICS_TYPE, NO_STORE), await self._together.scrape())
        except Silent as silent:
            return Response(503, (TEXT, NO_STORE), clean(str(silent)))

    async def _status(self) -> dict[str, object]:
        try:
            return await self._together.status()
        except Silent as silent:
            return {"workers": str(silent), **self._balancer.status()}

    def checks(self) -> dict[str, str]:
        """Every check with its word, shutting down being one of them."""
        return self._ready() | {"shutdown": "draining" if self.draining else "ok"}


def _good(word: str) -> bool:
    """`ok`, or `ok, but` what an operator should know all the same."""
    return word == "ok" or word.startswith("ok, ")


def _names(query: str) -> set[str]:
    return {part.partition("=")[0] for part in query.split("&")}


def _line(name: str, word: str) -> bytes:
    if _good(word):
        return b"[+]" + clean(name) + b" " + clean(word)
    return b"[-]" + clean(name) + b" failed: " + clean(word)
