"""The public listener on uvicorn, for operators who prefer it (`equipoise[uvicorn]`)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Iterable

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from equipoise.gateway.gateway import Gateway
from equipoise.http import ServerLimits, TLSFiles, asgi_application

TICK = 0.01


class _Quiet(uvicorn.Server):
    """Leaves signals to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _HeadsAlone(HttpToolsProtocol):
    """A request's fields are those of its head.

    uvicorn goes on adding to them what stands behind a chunked body: a client could bring a second Authorization, or the
    X-Forwarded-For that a proxy in front had taken out of the head (RFC 9110, 6.5.1 lets no one merge these).
    """

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.headers = []


class UvicornListener:
    """One uvicorn server in this loop, with our own server's way of starting and draining."""

    def __init__(
        self,
        gateway: Gateway,
        limits: ServerLimits | None,
        tls: TLSFiles | None,
        trusted_proxies: Iterable[str],
    ) -> None:
        self._application = asgi_application(
            gateway.handle,
            limits=limits,
            trusted_proxies=trusted_proxies,
            admit=gateway.admit,
            on_error=gateway.refused,
        )
        self._tls = tls
        self.port = 0
        self._server: _Quiet | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> None:
        """Listen; raises OSError if the address cannot be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, reuse_port=reuse_port, backlog=2_048)
        self.port = listening.getsockname()[1]
        self._server = _Quiet(self._config())
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110
            await asyncio.sleep(TICK)  # uvicorn says that it has started by a flag only
        if self._task.done():
            self._task.result()

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._application,
            http=_HeadsAlone,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            ssl_certfile=self._tls.certificate if self._tls else None,
            ssl_keyfile=self._tls.key if self._tls else None,
            ssl_ca_certs=self._tls.ca if self._tls else None,
        )

    async def drain(self, deadline: float) -> int:
        """Refuse new connections, wait up to `deadline` seconds for running answers, cut the rest and count them."""
        server, task = self._server, self._task
        if server is None or task is None:
            return 0
        server.should_exit = True
        await asyncio.wait({task}, timeout=deadline)
        left = len(server.server_state.tasks)
        if task.done():
            return 0
        server.force_exit = True
        for running in list(server.server_state.tasks):
            running.cancel()
        await asyncio.wait({task}, timeout=1.0)
        return left
