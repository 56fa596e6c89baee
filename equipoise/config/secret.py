"""Secrets that cannot be printed by accident, and the masking of what looks like one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

LONGEST_SECRET = 65_536
SHOWN_FROM = 16
FILE = "file:"
_LOOKS_SECRET = re.compile(r"\b(?:sk|pplx|pk|rk|eq|ghp|xoxb|key)-[A-Za-z0-9_\-]{8,}|(?<=://)[^/@\s]+:[^/@\s]+(?=@)")
SECRET_WORDS = ("key", "token", "secret", "password", "authorization", "credential", "cookie")


class Interpolated(str):
    """A value whose `${VAR}` was filled in; `reference` is the text as the operator wrote it."""

    __slots__ = ("reference",)
    reference: str

    def __new__(cls, value: str, reference: str) -> Interpolated:
        made = super().__new__(cls, value)
        made.reference = reference
        return made


class Secret:
    """A key. Prints as `pplx-…3f9a`; `reveal()` is the only way to the value, `reference` is how the operator wrote it."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str | None = None) -> None:
        self._value, self.reference = value, reference

    @classmethod
    def parse(cls, given: Any) -> Secret:
        """Take a secret, a text, or `file:/path`; raises ValueError for anything else or an empty one."""
        if isinstance(given, Secret):
            return given
        if not isinstance(given, str):
            raise ValueError("must be text, ${VARIABLE} or file:/path")  # noqa: TRY004 (pydantic collects ValueError)
        reference = given.reference if isinstance(given, Interpolated) else None
        if given.startswith(FILE):
            return cls(_read(given.removeprefix(FILE)), reference or str(given))
        return cls(_not_empty(str(given)), reference)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __str__(self) -> str:
        return masked(self._value)

    def __repr__(self) -> str:
        return f"Secret({masked(self._value)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": "A secret: ${VARIABLE}, file:/path, or the value itself."}


def masked(value: str) -> str:
    """The prefix and the last four characters of a long secret, nothing of a short one."""
    if len(value) < SHOWN_FROM:
        return "…"
    prefix, dash, _ = value.partition("-")
    return f"{prefix if dash and len(prefix) <= 8 else ''}{dash if len(prefix) <= 8 else ''}…{value[-4:]}"


def without_secrets(text: str) -> str:
    """The text with everything that looks like a key or a password in a URL masked."""
    return _LOOKS_SECRET.sub(lambda found: masked(found.group()), text)


def names_a_secret(name: str) -> bool:
    """Would a value under this name be one that must not be shown?"""
    return any(word in name.lower() for word in SECRET_WORDS)


def veiled(value: Any) -> Any:
    """Fields that only an upstream knows, without what its name or its look says is a key."""
    if isinstance(value, dict):
        return {
            name: masked(item) if isinstance(item, str) and names_a_secret(name) else veiled(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [veiled(item) for item in value]
    return without_secrets(value) if isinstance(value, str) else value


def _read(path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LONGEST_SECRET + 1)
        return _not_empty(content.decode().strip())
    except OSError as error:
        raise ValueError(f"cannot read the secret file {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"the secret file {path} is not text") from error


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > LONGEST_SECRET or any(ord(character) < 32 for character in value):
        raise ValueError("must be one line of printable text")
    return value
