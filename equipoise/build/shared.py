"""What is one over the gateways of several hosts: the way to the Redis or Valkey that they share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from equipoise.config import Config
from equipoise.stores.names import lasting_name

if TYPE_CHECKING:
    from equipoise.stores.redis_learned import FleetLearned
    from equipoise.stores.redis_link import LinkHealth, RedisLink

logger = logging.getLogger("equipoise.redis")


def link_of(config: Config) -> RedisLink | None:
    """The way to the Redis of this fleet; None where none is named. Contacts nobody. Raises ImportError without the extra."""
    of = config.shared.redis
    if of is None:
        return None
    try:
        from equipoise.stores.redis_link import LinkOptions, RedisLink
    except ImportError as error:
        raise ImportError("shared.redis needs the extra: pip install equipoise[redis]") from error
    options = LinkOptions(
        url=of.url,
        username=of.username,
        password=of.password.reveal() if of.password else None,
        prefix=of.prefix,
        seconds=of.operation_timeout_seconds,
        fail_closed=of.when_gone == "fail_closed",
    )
    return RedisLink(options, on_change=_told)


def learned_over_hosts(config: Config, link: RedisLink | None) -> FleetLearned | None:
    """What processes on other hosts have learned; None where nothing is shared, or nothing that is learned is kept."""
    if link is None or config.ledger_path is None:
        return None
    from equipoise.stores.redis_learned import FleetLearned

    return FleetLearned(link, lasting_name(config.state_path))


def _told(health: LinkHealth) -> None:
    if health.well:
        logger.info("Redis answers again")
    else:
        logger.warning("Redis is gone: what is shared stays as it is until it answers", extra={"why": health.error})
