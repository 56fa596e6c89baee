"""What an operator may say of a PostgreSQL server that gateways share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from equipoise.config.fields import Count, Section
from equipoise.config.secret import Secret

MEBIBYTE = 1024 * 1024


class PostgresConfig(Section):
    """A PostgreSQL server that several gateways share. Needs the extra: pip install equipoise[postgres]."""

    url: Secret
    """Its address with user and password, as libpq knows it (postgresql://...): ${VARIABLE}, file:/path or the value."""
    journal_bytes: Annotated[Count, Field(ge=MEBIBYTE)] = 256 * MEBIBYTE
    """Most bytes of records that wait in the state directory while it is away; more are dropped and counted."""


def plain_url(data: Any) -> Any:
    """An address alone stands for a section that holds it."""
    return {"url": data} if isinstance(data, str | Secret) else data


Postgres = Annotated[PostgresConfig, BeforeValidator(plain_url, json_schema_input_type=PostgresConfig | str)]
