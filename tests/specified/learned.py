"""What can be observed to change with the fields of scoring and of the learned weights."""

from __future__ import annotations

import asyncio
from typing import Any

from equipoise.core.events import AnswerScored
from tests.specified.conftest import QUESTION, backend_config


async def of_quality_sampling_rate(b: Any) -> Any:
    """How many of the answers are scored."""
    seen = []
    for rate in (0.0, 1.0):
        it = b.balance(backend_config("a", "local_llm", await b.engine()), quality_sampling_rate=rate)
        await it.send_query("a", QUESTION)
        scorer = it.balancer.scorer
        assert scorer is not None
        seen.append(scorer.options.sampling)
    return seen


async def weighed(b: Any, *, hours_ago: float = 0.0, **whole: Any) -> Any:
    """The learned weight of a backend whose one answer was worthless, after one adjustment."""
    it = b.balance(b.nowhere(), **whole)
    now = it.balancer.selection.clock.wall()
    it.balancer.tell(
        AnswerScored(
            request_id="r", attempt=1, backend_id="a", route="auto", tenant="default", kind="general", role="answer",
            quality=0.0, variance=0.0, source="judge", wall=now - 3600.0 * hours_ago,
        )
    )  # fmt: skip
    learning = it.balancer.learning
    assert learning is not None
    learning.weights.adjust(now)
    return learning.weights.rows()["general"]["a"]["weight"]


async def of_learning_rate(b: Any) -> Any:
    return await weighed(b, learning_rate=0.01), await weighed(b, learning_rate=0.5)


async def of_performance_history_window_hours(b: Any) -> Any:
    """An answer of three days ago counts within a week, not within a day."""
    return [await weighed(b, hours_ago=72.0, performance_history_window_hours=hours) for hours in (168, 24)]


async def of_weight_adjustment_frequency_minutes(b: Any) -> Any:
    seen = []
    for minutes in (0.0005, 15.0):
        it = b.balance(b.nowhere(), weight_adjustment_frequency_minutes=minutes, learning_rate=0.5)
        learning = it.balancer.learning
        assert learning is not None
        await learning.start()
        it.balancer.tell(
            AnswerScored(
                request_id="r", attempt=1, backend_id="a", route="auto", tenant="default", kind="general",
                role="answer", quality=0.0, variance=0.0, source="judge", wall=it.balancer.selection.clock.wall(),
            )
        )  # fmt: skip
        await asyncio.sleep(0.1)
        seen.append(learning.weights.rows()["general"]["a"]["weight"] < 1.0)
        await learning.close()
    return seen


CHECKS = {name.removeprefix("of_"): check for name, check in globals().items() if name.startswith("of_")}
