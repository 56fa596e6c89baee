"""What an operator may say of gateways on several hosts: where they keep what is one over all of them."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from equipoise.config.fields import EmptyIsNone, NotNegative, Positive, Section, Text
from equipoise.config.postgres import Postgres
from equipoise.config.secret import Secret

SCHEMES = ("redis", "rediss", "unix")


def _address(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in SCHEMES or not (parts.hostname or parts.scheme == "unix"):
        raise ValueError("must be a URL such as redis://host:6379/0, rediss://host:6380/0 or unix:///run/redis.sock")
    if parts.username or parts.password:
        raise ValueError("must not hold a user or password: write username and password")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or a fragment")
    return value.strip()


class RedisConfig(Section):
    """A Redis or Valkey that several gateways share. Needs the extra: pip install equipoise[redis]."""

    url: Annotated[str, AfterValidator(_address)]
    """Its address: redis://host:6379/0, rediss:// for TLS, unix:///path for a socket."""
    username: Text | None = None
    """The user of its access list, where it is not the default one."""
    password: Annotated[Secret | None, EmptyIsNone] = None
    """That user's password."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")] = "equipoise"
    """What all names there begin with; gateways of one prefix are one fleet."""
    operation_timeout_seconds: Annotated[Positive, Field(le=5)] = 0.1
    """Seconds after which it is given up on, whatever is asked of it; until it answers again nobody asks."""
    when_gone: Literal["local", "fail_closed"] = "local"
    """Without it: `local` goes on with the shares held already and no more, `fail_closed` refuses what has a budget or limit
    and is not ready."""
    lead_seconds: Annotated[Positive, Field(le=3600)] = 15.0
    """For how many seconds of demand each process holds of a budget ahead: an outage of so long is not felt."""
    local_seconds: NotNegative = 3600.0
    """For how many seconds a gateway goes on with its shares of budgets without it; what one that has died held counts so
    much longer as spent."""


class SharedConfig(Section):
    """What is one over the gateways of several hosts."""

    redis: RedisConfig | None = None
    """Where slices of budgets and limits, hints of breakers and what was learned are exchanged; absent, one machine is all."""
    postgres: Postgres | None = None
    """Where ledger, keys, audit journal and the state of migrations and canaries are kept; absent, in files of `state_dir`."""
