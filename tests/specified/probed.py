"""What can be observed to change with the fields of health probes."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.specified.conftest import backend_config


async def probes_within(b: Any, seconds: float, whole: dict[str, Any], **fields_: Any) -> int:
    engine = await b.engine("lightrag")
    it = b.balance(backend_config("a", "lightrag", engine, **fields_), **whole)
    await it.start_monitoring()
    await asyncio.sleep(seconds)
    return engine.stats.requests


async def of_health_check_interval_seconds(b: Any) -> Any:
    counts = [await probes_within(b, 0.5, {}, health_check_interval_seconds=s) for s in (0.05, 30.0)]
    return counts[0] > counts[1], False


async def of_health_check_timeout_seconds(b: Any) -> Any:
    seen = []
    for seconds in (0.05, 10.0):
        it = b.balance(b.silent(health_check_timeout_seconds=seconds))
        await it.start_monitoring()
        await asyncio.sleep(0.4)
        seen.append(it.get_backend_status()["backends"]["a"]["last_health_check"] is None)
    return seen


async def of_health_check_path(b: Any) -> Any:
    """The kind's own probe finds a LightRAG server well; at a path that it does not have nobody is."""
    seen, engine = [], await b.engine("lightrag")
    for path in ("/health", "/nowhere"):
        config = backend_config("a", "lightrag", engine, health_check_path=path, consecutive_failures_threshold=1)
        it = b.balance(config)
        await it.start_monitoring()
        await asyncio.sleep(0.3)
        seen.append(it.get_health_summary()["backends"]["a"])
    return seen


async def of_enable_real_time_monitoring(b: Any) -> Any:
    counts = [await probes_within(b, 0.3, {"enable_real_time_monitoring": on}) for on in (True, False)]
    return counts[0] > 0, counts[1] > 0


async def most_probes_at_once(b: Any, seconds: float, **whole: int) -> int:
    b.most_at_once = 0
    it = b.balance(*(b.silent(name) for name in "abc"), **whole)
    await it.start_monitoring()
    await asyncio.sleep(seconds)
    await it.stop_monitoring()
    return b.most_at_once


async def of_max_concurrent_health_checks(b: Any) -> Any:
    return await most_probes_at_once(b, 0.3, max_concurrent_health_checks=1), await most_probes_at_once(b, 0.3)


async def of_health_check_batch_size(b: Any) -> Any:
    """Batches of one start one after the other, so fewer are out after the same short time."""
    return await most_probes_at_once(b, 0.04, health_check_batch_size=1) < 3, await most_probes_at_once(b, 0.04) < 3


CHECKS = {name.removeprefix("of_"): check for name, check in globals().items() if name.startswith("of_")}
