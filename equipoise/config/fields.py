"""The kinds of values a field may have; each says once what is refused."""

from __future__ import annotations

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot be changed or shown in errors."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_enum_values=False,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=False,
        protected_namespaces=(),
    )


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 (pydantic collects ValueError)
    return value


def _no_empty_text(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _path(value: Any) -> Any:
    return os.path.expanduser(value) if isinstance(value, str) else value


def url(value: str) -> str:
    """An absolute http(s) URL without credentials; a slash at the end is dropped."""
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as http://host:9621")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password: write api_key or headers")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or a fragment")
    if parts.port == 0:
        raise ValueError("must have a port between 1 and 65535")
    return value.strip().rstrip("/")


_number = BeforeValidator(_no_boolean)
Positive = Annotated[float, _number, Field(gt=0)]
NotNegative = Annotated[float, _number, Field(ge=0)]
Share = Annotated[float, _number, Field(ge=0, le=1)]
Count = Annotated[int, _number, Field(gt=0)]
WholeNumber = Annotated[int, _number, Field(ge=0)]
Port = Annotated[int, _number, Field(ge=0, le=65535)]
Split = BeforeValidator(_split)
Texts = Annotated[tuple[str, ...], BeforeValidator(_split, json_schema_input_type=tuple[str, ...] | str)]
Text = Annotated[str, Field(min_length=1)]
Url = Annotated[str, AfterValidator(url)]
FilePath = Annotated[str, BeforeValidator(_path), Field(min_length=1)]
EmptyIsNone = BeforeValidator(_no_empty_text)
