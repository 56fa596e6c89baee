"""What an operator may say of keeping the words of questions and answers; without a word, none are kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from equipoise.config.fields import Positive, Section, Text

Mode = Literal["none", "redacted", "full"]


def _as_mode(data: Any) -> Any:
    return {"content": data} if isinstance(data, str) else data


def _as_default(data: Any) -> Any:
    return {"default": data} if isinstance(data, str) else data


class TenantContentConfig(Section):
    """One tenant's words."""

    content: Mode
    """none: not kept. redacted: after everything that looks like a key, a password, an address or a number of a person was
    masked, and `content.redact` was asked. full: as they were."""
    keep_days: Positive | None = None
    """Days after which they are removed; absent, `content.keep_days`."""


TenantContent = Annotated[
    TenantContentConfig, BeforeValidator(_as_mode, json_schema_input_type=TenantContentConfig | Mode)
]


class ContentConfig(Section):
    """Whether the words of questions and answers are kept, and how long; in a file of their own, content.sqlite3."""

    default: Mode = "none"
    """For tenants that are not named."""
    tenants: dict[Text, TenantContent] = Field(default_factory=dict)
    """Tenant -> none, redacted or full, or a mapping with `content` and `keep_days`."""
    keep_days: Positive = 30.0
    """Days after which words are removed."""
    redact: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")] | None = None
    """module:function of your own, text in, text out, asked of all that is kept as `redacted`. Where it raises or gives
    no text, nothing is kept of that question."""


Content = Annotated[ContentConfig, BeforeValidator(_as_default, json_schema_input_type=ContentConfig | Mode)]
