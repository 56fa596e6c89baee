"""The same handler as an ASGI application, for operators who prefer uvicorn to our server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias, cast

from equipoise.http import grammar
from equipoise.http.messages import (
    Abort,
    Admission,
    BadRequest,
    Handler,
    Headers,
    Refused,
    Request,
    Response,
    ServerLimits,
    plain,
)
from equipoise.http.proxies import TrustedProxies
from equipoise.http.writer import FRAMING, NO_BODY

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def asgi_application(
    handler: Handler,
    *,
    limits: ServerLimits | None = None,
    trusted_proxies: Iterable[str] = (),
    admit: Admission | None = None,
    on_error: Refused | None = None,
) -> Application:
    """An ASGI 3 application that answers as `Server` does; framing, timeouts and connection limits are the host's."""
    gate = _Gate(handler, limits or ServerLimits(), TrustedProxies(trusted_proxies), admit, on_error)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _Exchange(gate, scope, receive, send).run()
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            raise ValueError(f"{scope['type']} is not served")

    return application


async def _live(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


class _Gate:
    """What all requests of an application share."""

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits,
        proxies: TrustedProxies,
        admit: Admission | None,
        on_error: Refused | None,
    ) -> None:
        self.handler, self.limits, self.proxies, self.admit, self.on_error = handler, limits, proxies, admit, on_error


class _Exchange:
    """One request, and an eye on the client while it is answered."""

    def __init__(self, gate: _Gate, scope: Scope, receive: Receive, send: Send) -> None:
        self._gate, self._scope, self._receive, self._send = gate, scope, receive, send

    async def run(self) -> None:
        try:
            request = self._read_head()
            early = None if self._gate.admit is None else self._gate.admit(request)
            if early is None:
                request.body = await self._read_body()
        except BadRequest as refusal:
            await self._refuse(refusal, self._scope)
            return
        except ConnectionError:
            return
        await self._answer_while_connected(request, early)

    def _read_head(self) -> Request:
        scope = self._scope
        headers = joined(scope["headers"])
        self._check(headers)
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        client, trusted = self._gate.proxies.peer(tuple(scope["client"]) if scope.get("client") else "")
        query = scope["query_string"].decode("latin-1")
        request = Request(scope["method"], path, query, headers, b"", client, scope["scheme"])
        self._gate.proxies.apply(request, trusted=trusted)
        return request

    def _check(self, headers: Headers) -> None:
        """The rules of our own server, as far as the host shows what was sent."""
        scope, limits = self._scope, self._gate.limits
        if scope["http_version"] not in {"1.0", "1.1"}:
            raise BadRequest(505, "This server speaks HTTP/1.1.")
        minor_version = scope["http_version"][2:].encode()
        line = b"%b %b?%b" % (scope["method"].encode(), scope.get("raw_path") or b"", scope["query_string"])
        grammar.check_fields(line, b"".join(b"%b: %b\r\n" % field for field in scope["headers"]), limits)
        grammar.check_host(headers.get(b"host"), minor_version)
        grammar.body_length(headers, minor_version, limits)
        grammar.check_expectation(headers.get(b"expect"))
        if scope["path"] == "*" and scope["method"] != "OPTIONS":
            raise BadRequest(400, "The request target is not one this server answers.")

    async def _read_body(self) -> bytes:
        limit, body = self._gate.limits.body_bytes, bytearray()
        while True:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise ConnectionError
            body += event.get("body", b"")
            if len(body) > limit:
                raise BadRequest(413, f"The body may have at most {limit} bytes.")
            if not event.get("more_body", False):
                return bytes(body)

    async def _refuse(self, refusal: BadRequest, scope: Scope) -> None:
        tell = self._gate.on_error
        words = tell(refusal.status, refusal.reason, (scope.get("client") or ("",))[0]) if tell else None
        answer = words or plain(refusal.status, refusal.reason)
        await self._write(answer, "GET", extra=((b"connection", b"close"),))

    async def _answer_while_connected(self, request: Request, early: Response | None) -> None:
        answer = asyncio.create_task(self._answer(request, early))
        watch = asyncio.create_task(self._wait_for_hang_up())
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.cancel()
            if not answer.done():
                answer.cancel()
                await asyncio.wait({answer})
        if answer.cancelled():
            return
        try:
            answer.result()
        except Abort:
            return  # the host closes a connection whose response was left unfinished

    async def _wait_for_hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _answer(self, request: Request, early: Response | None) -> None:
        response = await self._gate.handler(request) if early is None else early
        await self._write(response, request.method)

    async def _write(self, response: Response, method: str, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        headers = [(name.lower(), value) for name, value in response.headers if name.lower() not in FRAMING]
        if type(response.body) is bytes:
            if response.status not in NO_BODY:
                headers.append((b"content-length", b"%d" % len(response.body)))
            await self._send({"type": "http.response.start", "status": response.status, "headers": [*headers, *extra]})
            await self._send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
            return
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})
        await self._write_pieces(cast("AsyncIterator[bytes]", response.body), head_only=method == "HEAD")

    async def _write_pieces(self, body: AsyncIterator[bytes], *, head_only: bool) -> None:
        try:
            if not head_only:
                async for piece in body:
                    await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                    await asyncio.sleep(0)  # uvicorn drops what it cannot send: without a turn nobody sees the hang-up
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            aclose = getattr(body, "aclose", None)
            if aclose is not None:
                await aclose()


def joined(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Fields in the form that requests have them."""
    headers: Headers = {}
    for name, value in fields:
        value = value.strip()  # uvicorn leaves trailing blanks
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers
