"""A question as the body of a chat completion: the client's own bytes where there are any, spliced, never rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from equipoise.backends.base import BackendError
from equipoise.backends.errors import UNREADABLE
from equipoise.core.model import Question, Verdict

HINT: Final = "equipoise"
"""Keys of `metadata` that begin so (or with `x-` before it) are hints to us and go no further."""

_TRUE: Final = msgspec.Raw(b"true")
_WITH_USAGE: Final = msgspec.Raw(b'{"include_usage":true}')
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode

Fields = dict[str, msgspec.Raw]


class Splice(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend changes in every body; encoded once.

    `model` None leaves the client's own where the server offers it (or nobody knows what it offers), else the first of
    `offered` stands in. Fields named in `foreign` are taken out: they were meant for another engine.
    """

    model: msgspec.Raw | None = None
    offered: tuple[msgspec.Raw, ...] = ()
    foreign: frozenset[str] = frozenset()
    defaults: Fields = {}
    stream_usage: bool = True
    max_tokens_field: str = "max_tokens"

    @classmethod
    def make(
        cls,
        model: str | None,
        defaults: Mapping[str, Any],
        *,
        stream_usage: bool,
        max_tokens_field: str,
        foreign: frozenset[str] = frozenset(),
    ) -> Splice:
        """Encode the operator's choices."""
        return cls(
            model=None if model is None else msgspec.Raw(_encode(model)),
            defaults={name: msgspec.Raw(_encode(value)) for name, value in defaults.items()},
            stream_usage=stream_usage,
            max_tokens_field=max_tokens_field,
            foreign=foreign,
        )

    def offering(self, models: Sequence[str]) -> Splice:
        """The same, knowing what the server offers."""
        return msgspec.structs.replace(self, offered=tuple(msgspec.Raw(_encode(name)) for name in models))

    def model_for(self, given: msgspec.Raw | None) -> msgspec.Raw | None:
        """What to ask for when the client asks for `given`; None leaves it as it is."""
        if self.model is not None or not self.offered:
            return self.model
        return None if given in self.offered else self.offered[0]


def body_for(question: Question, splice: Splice) -> bytes:
    """The body to send: the client's very bytes if nothing has to change in them."""
    body, parts = question.body, question.parts
    if body is None:
        return built(question, splice)
    # A hook may have put another body in its place.
    fields = parts.fields if parts is not None and parts.body is body else None
    return spliced(body, question.stream, splice, fields)


def spliced(body: bytes, stream: bool, splice: Splice, known: Fields | None = None) -> bytes:
    """Replace `model`, `stream` and `stream_options`, take out what was meant for us, leave every other byte of a value.

    `known` are the fields of the body where they were looked for before; they are left as they are. Raises BackendError
    (the caller's fault) for a body that is no JSON object.
    """
    try:
        before = _fields(body) if known is None else known
        fields = dict(before)
        _adapt(fields, stream, splice)
        if "metadata" in fields:
            _remove_hints(fields, fields["metadata"])
    except UNREADABLE as error:
        raise _not_an_object(str(error)) from error
    for name, value in splice.defaults.items():
        fields.setdefault(name, value)
    return body if fields == before else _encode(fields)


def _adapt(fields: Fields, stream: bool, splice: Splice) -> None:
    model = splice.model if not splice.offered else splice.model_for(fields.get("model"))
    if model is not None:
        fields["model"] = model
    if not splice.foreign.isdisjoint(fields):
        for name in fields.keys() & splice.foreign:
            del fields[name]
    fields.pop("extra_body", None)
    if not stream:
        fields.pop("stream", None)
        fields.pop("stream_options", None)
        return
    if fields.get("stream") != _TRUE:
        fields["stream"] = _TRUE
    if splice.stream_usage:
        fields["stream_options"] = _stream_options(fields.get("stream_options"))


def _stream_options(given: msgspec.Raw | None) -> msgspec.Raw:
    """The client's options with usage asked for: a stream is billed like any other answer."""
    options = msgspec.json.decode(given) if given is not None else None
    if not isinstance(options, dict):
        return _WITH_USAGE
    if given is not None and options.get("include_usage") is True:
        return given
    return msgspec.Raw(_encode({**options, "include_usage": True}))


def _remove_hints(fields: Fields, metadata: msgspec.Raw) -> None:
    if HINT.encode() not in bytes(metadata):
        return
    decoded = msgspec.json.decode(metadata)
    if not isinstance(decoded, dict):
        return
    kept = {name: value for name, value in decoded.items() if not name.lower().removeprefix("x-").startswith(HINT)}
    if kept:
        fields["metadata"] = msgspec.Raw(_encode(kept))
    else:
        del fields["metadata"]


def built(question: Question, splice: Splice) -> bytes:
    """A body of our own for a question that came in another dialect."""
    fields: dict[str, Any] = {**splice.defaults, **question.options}
    fields["model"] = splice.model_for(None) or "default"
    fields["messages"] = question.messages
    wanted = {
        splice.max_tokens_field: question.max_tokens,
        "tools": question.tools or None,
        "tool_choice": question.tool_choice if question.tools else None,
        "response_format": question.response_format,
    }
    fields.update({name: value for name, value in wanted.items() if value is not None})
    if question.stream:
        fields["stream"] = True
        if splice.stream_usage:
            fields["stream_options"] = _WITH_USAGE
    return _encode(fields)


def _not_an_object(why: str) -> BackendError:
    error = {"message": f"the body is no JSON object: {why}", "type": "invalid_request_error", "param": None}
    return BackendError(
        Verdict.IGNORED,
        "the body is no JSON object",
        code="invalid_request_error",
        sent=False,
        client_error={**error, "code": "invalid_request_error"},
    )
