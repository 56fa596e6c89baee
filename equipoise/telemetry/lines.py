"""Two ways to write a log line: `key=value` for people, JSON for machines. Secrets are masked, control characters escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from equipoise.core.redaction import MASK, redact

_PLAIN = re.compile(r"[\w.:/@+\-\[\]$>]+", re.ASCII)
_SECRET_NAME = re.compile(r"key$|secret|passw|token$|authorization|cookie", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def moment(wall: float) -> str:
    """Unix seconds as people write them, in UTC to the millisecond."""
    milliseconds = int(wall * 1000)
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(4)
def _second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def json_line(fields: Mapping[str, Any]) -> str:
    """One JSON object; what msgspec cannot encode is written as its text."""
    return msgspec.json.encode(_clean(fields), enc_hook=str).decode()


def console_line(fields: Mapping[str, Any]) -> str:
    """`key=value` pairs; a value with spaces or quotes is quoted, so that nobody can forge a pair or a line."""
    return " ".join(f"{name}={_quoted(value)}" for name, value in _clean(fields).items())


def quoted(value: str) -> str:
    """A text in one unmistakable piece."""
    return _quoted(cleaned(value))


def cleaned(text: str) -> str:
    """A text with secrets masked and control characters escaped."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", redact(text))


# Most words of an access log are the same again and again (routes, tenants, backends).
quoted_word, cleaned_word = lru_cache(2048)(quoted), lru_cache(2048)(cleaned)


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else cleaned(str(value))
    return text if _PLAIN.fullmatch(text) else msgspec.json.encode(text).decode()


def _clean(value: Any) -> Any:
    """The same without secrets and control characters, in all its parts."""
    if isinstance(value, str):
        return cleaned(value)
    if isinstance(value, Mapping):
        return {str(name): _hidden(str(name), part) for name, part in value.items()}
    return [_clean(part) for part in value] if isinstance(value, list | tuple) else value


def _hidden(name: str, value: Any) -> Any:
    return MASK if isinstance(value, str) and _SECRET_NAME.search(name) else _clean(value)
