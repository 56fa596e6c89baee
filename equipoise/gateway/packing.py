"""A kept answer as bytes, for other gateways; what is no answer to the question that was asked is none at all.

one byte (stored as it is, or compressed), then MessagePack of `Packed`
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from equipoise.backends.base import Finished, ReasoningDelta, Relayed, StreamItem, TextDelta, ToolCallDelta
from equipoise.core.model import Answer, NanoUSD
from equipoise.gateway.following import Pieces
from equipoise.gateway.given import Kept
from equipoise.reply import Reply

FORM = 1
"""Raised whenever the bytes mean something else: gateways of several versions may share a Redis."""
LEVEL = 1


class Piece(msgspec.Struct, array_like=True, omit_defaults=True):
    """One piece of a stream: exactly one of these."""

    text: str | None = None
    reasoning: str | None = None
    data: bytes | None = None
    answer: Answer | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Packed(msgspec.Struct, array_like=True):
    """What is kept of an answer; `made` is Unix seconds by the clock that the fleet shares."""

    form: int
    key: bytes
    tenant: str
    route: str
    made: float
    price: NanoUSD
    model: str
    reply: Reply
    pieces: list[Piece] | None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Packed).decode


def packed(kept: Kept, key: bytes, made: float) -> bytes:
    """The bytes of a kept answer to this question."""
    pieces = None if kept.pieces is None else [_packed(piece) for piece in kept.pieces.pieces]
    whole = Packed(FORM, key, kept.tenant, kept.route, made, kept.price, kept.model, kept.reply, pieces)
    return zlib.compress(_encode(whole), LEVEL)


def unpacked(data: bytes, key: bytes, tenant: str, route: str, *, now: float, wall: float, most: int) -> Kept | None:
    """The answer that these bytes hold to this question of this tenant, `most` bytes of it; None for whatever else.

    `now` is monotonic, `wall` the fleet's clock. An answer from the future is as old as one made now.
    """
    try:
        found = _decode(_whole(data, most))
        pieces = None if found.pieces is None else Pieces.whole([_unpacked(piece) for piece in found.pieces])
    except (ValueError, RecursionError, zlib.error):
        return None
    if (found.form, found.key, found.tenant, found.route) != (FORM, key, tenant, route):
        return None
    return Kept(
        reply=found.reply,
        pieces=pieces,
        model=found.model,
        made=now - max(0.0, wall - found.made),
        wall=min(found.made, wall),
        price=found.price,
        tenant=tenant,
        route=route,
    )


def _whole(data: bytes, most: int) -> bytes:
    reader = zlib.decompressobj()
    whole = reader.decompress(data, most)
    if not reader.eof:
        raise ValueError("cut, or longer than it may be")
    return whole


def _packed(piece: StreamItem) -> Piece:
    match piece:
        case TextDelta():
            return Piece(text=piece.text)
        case ReasoningDelta():
            return Piece(reasoning=piece.text)
        case Relayed():
            return Piece(data=piece.data)
        case Finished():
            return Piece(answer=piece.answer)
        case ToolCallDelta():
            return Piece(tool_calls=piece.tool_calls)


def _unpacked(piece: Piece) -> StreamItem:
    if piece.text is not None:
        return TextDelta(piece.text)
    if piece.data is not None:
        return Relayed(piece.data)
    if piece.answer is not None:
        return Finished(piece.answer)
    if piece.reasoning is not None:
        return ReasoningDelta(piece.reasoning)
    return ToolCallDelta(piece.tool_calls or [])
