"""What an operator may say of people: who may look and steer, whose tokens are believed, which pages may ask."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from equipoise.config.fields import Count, NotNegative, Positive, Section, Split, Text, Url
from equipoise.config.secret import Secret
from equipoise.config.sections import Moment, plain_key
from equipoise.core.callers import Role

Algorithm = Literal["RS256", "ES256", "EdDSA"]


class AdminKeyConfig(Section):
    """A key for the admin listener: by reference (`key: ${VARIABLE}`) or hashed (`sha256:`, 64 hexadecimal digits)."""

    key: Secret | None = None
    """The key: ${VARIABLE}, file:/path or the value."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    """SHA-256 of the key, in hexadecimal."""
    role: Role = Role.VIEW
    """view: look; operate: also drain, resume, weights, acknowledge, roll back; admin: everything."""
    expires: Moment | None = None
    """Until when it is good: a date or a time, UTC unless it names a zone."""

    @property
    def expires_at(self) -> float | None:
        """The same in Unix seconds."""
        return datetime.fromisoformat(self.expires).timestamp() if self.expires else None

    @model_validator(mode="after")
    def _one_of_both(self) -> AdminKeyConfig:
        if (self.key is None) == (self.sha256 is None):
            raise ValueError("needs either key or sha256")
        return self


AdminKey = Annotated[AdminKeyConfig, BeforeValidator(plain_key, json_schema_input_type=AdminKeyConfig | str)]


def _https(value: str) -> str:
    """Keys that decide who is believed come over TLS, or from this machine."""
    parts = urlsplit(value)
    if parts.scheme != "https" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("must begin with https:// (http:// only on this machine)")
    return value


class JWTConfig(Section):
    """Signed tokens of an identity provider, believed beside keys; needs the extra `jwt`."""

    issuer: Text
    """What `iss` must be, exactly."""
    audience: Text
    """What `aud` must hold."""
    jwks_url: Annotated[Url, AfterValidator(_https)]
    """Where the provider's public keys are; nothing in a token leads anywhere else."""
    algorithms: Annotated[tuple[Algorithm, ...], Split, Field(min_length=1)] = ("RS256", "ES256", "EdDSA")
    """Signatures that are accepted; `none` and shared secrets never are."""
    leeway_seconds: Annotated[NotNegative, Field(le=300)] = 30.0
    """How far clocks may differ for `exp`, `nbf` and `iat`."""
    refresh_seconds: Annotated[Positive, Field(ge=10)] = 300.0
    """Seconds after which the keys are fetched again; a key that is not known has them fetched at once."""
    max_keys: Count = 32
    """Most keys that are taken from the provider."""
    tenant_claim: Text | None = None
    """The claim that names a client's tenant; without it, tokens are no good for questions."""
    key_claim: Text = "sub"
    """The claim by which a person or a program is named in the ledger and in the audit journal."""
    role_claim: Text | None = None
    """The claim (a word or a list) that is looked up in `roles`; without it, tokens are no good at the admin listener."""
    roles: dict[Text, Role] = Field(default_factory=dict)
    """Word in the role claim -> view, operate or admin; the highest counts."""

    @model_validator(mode="after")
    def _good_for_something(self) -> JWTConfig:
        if self.tenant_claim is None and self.role_claim is None:
            raise ValueError(
                "needs tenant_claim (for questions), role_claim with roles (for the admin listener), or both"
            )
        if (self.role_claim is None) != (not self.roles):
            raise ValueError("needs role_claim and roles together")
        return self


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if value == "*":
        raise ValueError("must name origins: * would let every page of the web ask")
    if parts.scheme not in ("http", "https") or not parts.netloc or f"{parts.scheme}://{parts.netloc}" != value:
        raise ValueError("must be an origin such as https://app.example.org, without a path")
    if "@" in value or "*" in value or value != value.lower() or not value.isprintable() or " " in value:
        raise ValueError("must be one exact origin in small letters, without wildcard or user")
    return value


Origin = Annotated[str, AfterValidator(_origin)]


class CORSConfig(Section):
    """Which web pages may ask the public listener from a browser."""

    origins: Annotated[tuple[Origin, ...], Split] = ()
    """Exact origins; without any, no page of another origin may."""
    max_age_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    """How long a browser may remember the permission."""


class AuditConfig(Section):
    """The journal of what people did at the admin listener and with keys."""

    keep_days: Positive = 365.0
    """Days after which an entry is taken out."""
    max_entries: Count = 200_000
    """Most entries kept, about 0.5 kB each; beyond them the oldest are taken out."""
