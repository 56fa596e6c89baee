"""What every dialect shares: reading a body safely, and the form in which it hands a question on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from equipoise.backends.calls import shaped
from equipoise.backends.errors import UNREADABLE
from equipoise.core.model import NANO_PER_USD, Answer, NanoUSD, Question, Usage

T = TypeVar("T")

MAX_OUTPUT_TOKENS = 2**31 - 1
MAX_DEPTH = 100
MAX_PARTS = 200_000
"""Values of one body: sixteen megabytes of `[],` would hold the loop for seconds and become half a gigabyte."""

_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
encode = msgspec.json.Encoder().encode


class Malformed(Exception):
    """A body that cannot be read as a question; `param` names the field at fault when it is known."""

    def __init__(self, message: str, param: str | None = None, *, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.message, self.param, self.status, self.code = message, param, status, code


class Asked(msgspec.Struct):
    """A question as a dialect read it, the model name it was addressed to, and its `metadata`."""

    question: Question
    model: str = "auto"
    metadata: dict[str, Any] | None = None
    with_references: bool = True
    with_passages: bool = False


class Envelope(msgspec.Struct, frozen=True):
    """What an answer carries besides itself: our id for the request and the Unix second of its creation."""

    request_id: str
    created: int


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode JSON from a stranger; raises Malformed whatever is wrong with it."""
    require_sound(body)
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise misread(error) from None


def require_sound(body: bytes) -> None:
    """Refuse a body of too many parts, or of what is not UTF-8: fields that are skipped are not decoded, and are sent on.

    Nesting beyond the interpreter's recursion limit is refused by the decoder.
    """
    if len(body) > MAX_PARTS:
        require_few_parts(body)
    require_text(body)


def require_text(body: bytes) -> None:
    """Refuse what is not UTF-8."""
    if not body.isascii():
        try:
            str(body, "utf-8")
        except UnicodeDecodeError as error:
            raise misread(error) from None


def misread(error: Exception) -> Malformed:
    """What a decoder found wrong with a body, in our words."""
    if isinstance(error, UnicodeDecodeError):
        return Malformed("The body is not valid UTF-8.")
    if isinstance(error, RecursionError):
        return Malformed("The body is nested too deeply.")
    if isinstance(error, msgspec.ValidationError):
        return invalid(error)
    return Malformed(f"The body is not valid JSON: {error}")


def require_few_parts(body: bytes) -> None:
    """Refuse a body of more values than any honest one; commas and brackets within texts are counted only when in doubt."""
    if _parts(body) > MAX_PARTS and _parts(_TEXTS.sub(b"", body)) > MAX_PARTS:
        raise Malformed(f"The body has more than {MAX_PARTS} parts.", status=413, code="request_too_large")


def _parts(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def invalid(error: msgspec.ValidationError) -> Malformed:
    """Turn msgspec's sentence into ours: 'Expected `int`, got `str` - at `$.max_tokens`' names a parameter."""
    what, _, where = str(error).partition(" - at `$")
    param = where.rstrip("`").lstrip(".") or None
    return Malformed(f"{what}{f' in {param}' if param else ''}", param)


def require_shallow(value: object, param: str | None = None) -> None:
    """Refuse what nests deeper than any honest body: it could be read here but not be written again further down."""
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [child for each in layer for child in _children(each)]
        if not layer:
            return
    raise Malformed("The body is nested too deeply.", param)


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def token_limit(value: int | None, param: str) -> int | None:
    """A limit of output tokens as given by a client: at least one."""
    if value is not None and not 1 <= value <= MAX_OUTPUT_TOKENS:
        raise Malformed(f"{param} must be between 1 and {MAX_OUTPUT_TOKENS}.", param)
    return value


def require_messages(question: Question, param: str) -> None:
    """At least one message, each by somebody known, and none too deep; plain text cannot be."""
    if not question.messages:
        raise Malformed(f"{param} must not be empty.", param)
    for message in question.messages:
        if message.role not in ROLES:
            number = question.messages.index(message)
            raise Malformed(f"Unknown role {message.role[:40]!r}.", f"{param}[{number}].role")
        if type(message.content) is not str or message.tool_calls is not None:
            require_shallow((message.content, message.tool_calls), param)


def usd(amount: NanoUSD) -> float:
    """Nano-dollars as a JSON number whose shortest decimal form is exact below nine million dollars (2**53 nano)."""
    return amount / NANO_PER_USD


def total_tokens(usage: Usage) -> int:
    """Input and output; reasoning and cached tokens are parts of these."""
    return usage.input_tokens + usage.output_tokens


class _RawFunction(msgspec.Struct):
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _RawChoice(msgspec.Struct):
    message: _RawFunction = msgspec.field(default_factory=_RawFunction)


class _RawAnswer(msgspec.Struct):
    choices: list[_RawChoice] = []


_raw_answer = msgspec.json.Decoder(_RawAnswer)


def opened(answer: Answer) -> Answer:
    """An answer with its text: a body kept for relaying is decoded where another dialect has to be spoken."""
    if answer.raw is None or answer.text or answer.tool_calls:
        return answer
    choices = _raw_answer.decode(answer.raw).choices
    if not choices:
        return answer
    message = choices[0].message
    return msgspec.structs.replace(answer, text=message.content or "", tool_calls=shaped(message.tool_calls) or None)
