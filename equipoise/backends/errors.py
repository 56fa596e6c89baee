"""The error object of an upstream, in all the shapes upstreams have, made safe to show."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

SHOWN: Final = 300
"""Characters of an upstream's message that a person gets to see in ours."""

TOLD: Final = 2_000
"""Characters of an upstream's message that are handed to the client whose fault it is."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a stranger's JSON may raise; nesting beyond the interpreter's limit is the last of them."""

_KEYS = re.compile(r"\b(?:sk|pk|rk|pplx|gsk|xai|key)-[\w\-*.…]{6,}|(?i:bearer)\s+[\w\-.~+/=*]{6,}")
_USER_INFO = re.compile(r"(?<=://)[^/\s@]{1,200}@")
_MARKUP = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]{0,500}>", re.DOTALL | re.IGNORECASE)


class ErrorBody(msgspec.Struct, frozen=True):
    """What an upstream said went wrong; all fields are plain text, empty when it said nothing of the kind."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""

    @property
    def words(self) -> str:
        """Everything that was said, in small letters, to look for cues."""
        return f"{self.type} {self.code} {self.message}".lower()

    @property
    def status(self) -> int | None:
        """The HTTP status, where the code or the type is one (vLLM, Perplexity and llama.cpp do that)."""
        known = self.code if self.code.isascii() and self.code.isdigit() else ""
        return int(known) if len(known) == 3 and "400" <= known <= "599" else None

    def for_client(self, code: str) -> dict[str, Any]:
        """OpenAI's error object, for a client who caused it."""
        return {
            "message": self.message[:TOLD],
            "type": self.type or "invalid_request_error",
            "param": self.param or None,
            "code": code,
        }


def error_in(body: bytes, secret: str = "") -> ErrorBody:
    """Read an error body: OpenAI's, Perplexity's, FastAPI's, Anthropic's, Ollama's, vLLM's old flat one, HTML or text."""
    try:
        decoded = msgspec.json.decode(body)
    except UNREADABLE:
        return ErrorBody(message=safe_text(_MARKUP.sub(" ", body[:8192].decode("utf-8", "replace")), secret))
    return error_of(decoded, secret)


def error_of(decoded: object, secret: str = "") -> ErrorBody:
    """Read a decoded error body, or the error object within it."""
    if isinstance(decoded, str):
        return ErrorBody(message=safe_text(decoded, secret))
    if not isinstance(decoded, Mapping):
        return ErrorBody()
    if decoded.get("detail"):
        return _of_detail(decoded["detail"], secret)
    inner = decoded.get("error")
    if isinstance(inner, str):
        return ErrorBody(message=safe_text(inner, secret), code=_word(decoded.get("code")))
    return _of_object(inner if isinstance(inner, Mapping) else decoded, secret)


def _of_object(error: Mapping[str, Any], secret: str) -> ErrorBody:
    message = error.get("message") or error.get("error") or error.get("reason") or ""
    return ErrorBody(
        message=safe_text(message if isinstance(message, str) else _encoded(message), secret),
        type=_word(error.get("type")),
        code=_word(error.get("code")),
        param=_word(error.get("param")),
    )


def _of_detail(detail: object, secret: str) -> ErrorBody:
    """FastAPI's form: a sentence, or a list of `{loc, msg, type}`."""
    if not isinstance(detail, list):
        return error_of(detail, secret)
    faults = [fault for fault in detail if isinstance(fault, Mapping)]
    texts = [f"{_place(fault)}: {fault.get('msg', '')}" for fault in faults[:5]]
    first = faults[0] if faults else {}
    return ErrorBody(
        message=safe_text("; ".join(texts), secret),
        type="invalid_request_error",
        code=_word(first.get("type")),
        param=_place(first).split(".")[0],
    )


def _place(fault: Mapping[str, Any]) -> str:
    location = fault.get("loc")
    steps = [str(step) for step in location] if isinstance(location, list) else []
    return _word(".".join(steps[1:] if steps[:1] == ["body"] else steps))


def _word(value: object) -> str:
    return printable(str(value)[:100]) if isinstance(value, str | int) else ""


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def safe_text(text: str, secret: str = "") -> str:
    """One printable line without keys or passwords, at most `TOLD` characters."""
    text = text[: TOLD * 4]
    if len(secret) >= 4:
        text = text.replace(secret, "[key]")
    text = _USER_INFO.sub("[user]@", _KEYS.sub("[key]", text))
    return " ".join(printable(text).split())[:TOLD]


def printable(text: str) -> str:
    """The text with a space for every character that could move a cursor or turn the writing round."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
