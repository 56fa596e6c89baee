"""A streamed answer in OpenAI's form as it comes from its server: asked for event by event, or poured where it is to go."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing
from typing import cast

from equipoise.backends.base import BackendError, Finished, Relayed, StreamItem
from equipoise.backends.classify import Blame
from equipoise.backends.openai_stream import Relay, parsed
from equipoise.backends.sse import EventTooLarge
from equipoise.backends.translation import pieces_of
from equipoise.backends.transport import ANSWER_LIMIT, Spent, Upstream, read_to_end
from equipoise.core.model import Answer, Request
from equipoise.http import ClientResponse, Sink


class RelayedStream:
    """Passes the server's events on as they are, and judges the whole at its end.

    `post` asks the question, `whole` reads a reply in one piece (some servers ignore `stream`). Raises BackendError.
    """

    def __init__(
        self,
        blame: Blame,
        upstream: Upstream,
        post: Callable[[], Awaitable[ClientResponse]],
        request: Request,
        whole: Callable[[bytes, Request], Answer],
    ) -> None:
        self._blame, self._upstream, self._post, self._request, self._whole = blame, upstream, post, request, whole
        self._sink: Sink[StreamItem] | None = None
        self._relay = Relay(blame)
        self._response: ClientResponse = cast("ClientResponse", None)
        self._unfit: BackendError | EventTooLarge | None = None
        self._items = self._relayed()

    def __aiter__(self) -> RelayedStream:
        return self

    async def __anext__(self) -> StreamItem:
        return await self._items.__anext__()

    def pour_into(self, sink: Sink[StreamItem]) -> None:
        """From the next item on."""
        self._sink = sink

    async def aclose(self) -> None:
        """Close the connection."""
        await self._items.aclose()

    async def _relayed(self) -> AsyncGenerator[StreamItem, None]:
        request, relay = self._request, self._relay
        self._response = response = await self._post()
        with closing(response), self._upstream.reading(lambda: Spent(relay.usage(request.input_tokens), relay.cost)):
            if response.headers.get(b"content-type", b"").startswith(b"application/json"):
                for item in self._in_one_piece(await response.read(ANSWER_LIMIT)):
                    yield item
                return
            async for piece in response:
                if events := relay.feed(piece):
                    yield Relayed(events)
                if self._sink is not None and not relay.done:
                    await self._poured()
                if relay.done:
                    break
            rest = relay.finish()
            await read_to_end(response)
        if rest:
            yield Relayed(rest)
        yield Finished(relay.answer(request.input_tokens))

    async def _poured(self) -> None:
        await self._response.pour(self._pass_on)
        if self._unfit is not None:
            raise self._unfit

    def _pass_on(self, piece: bytes) -> Awaitable[None] | None:
        """One piece, in the middle of reading from the socket: what is wrong with it is raised by who waits."""
        try:
            events = self._relay.feed(piece)
        except (BackendError, EventTooLarge) as error:
            self._unfit = error
            self._response.stop()
            return None
        if self._relay.done:
            self._response.stop()
        return self._sink(Relayed(events)) if events and self._sink is not None else None

    def _in_one_piece(self, body: bytes) -> list[StreamItem]:
        answer = self._whole(body, self._request)
        return [*pieces_of(parsed(body, self._blame).first.said), Finished(answer)]
