"""What is said of a canary: lines of the journal, events, troubles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from equipoise.balancer import LoadBalancer
from equipoise.canary.watch import Watch
from equipoise.core.canary import Judgement
from equipoise.core.events import CanaryDecided
from equipoise.core.ladder import Move
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import Entry

MOST_SHOWN, PATIENCE = 8, 0.02


def started(name: str, copies: int, share: float, different: Sequence[str]) -> str:
    """The first line of a canary's journal: what it is, and how it begins."""
    how = f"{copies} copies first, then {share:g} % of keys" if copies else f"{share:g} % of keys"
    more = f" and {len(different) - MOST_SHOWN} more" if len(different) > MOST_SHOWN else ""
    return f"Start canary {name}: {how}; differs in {', '.join(different[:MOST_SHOWN])}{more}"


def entry_of(move: Move, watch: Watch, judged: Judgement | None) -> Entry:
    """A line of the journal with the evidence of this moment."""
    evidence: dict[str, Any] = {"candidate_requests": watch.candidates, "measures": watch.table()}
    if judged is not None:
        evidence |= {"e_value": judged.e_value, "finding": judged.finding.value, "measure": judged.measure}
    return Entry(what=move.message, who=move.who, why=move.why, evidence=evidence, wall=move.wall)


def event_of(canary: str, move: Move, watch: Watch, judged: Judgement | None) -> CanaryDecided:
    """The same for observers: alerts, metrics, webhooks."""
    evidence = {"candidate_requests": float(watch.candidates)}
    if judged is not None:
        evidence["e_value"] = judged.e_value
    return CanaryDecided(
        canary=canary,
        verdict=move.verdict,
        share=move.share / 100.0,
        message=move.message,
        evidence=evidence,
        wall=move.wall,
    )


class Reporting(suppress):
    """Suppresses a StoreError and says what it was: questions are answered all the same."""

    def __init__(self, troubled: Callable[[str], None]) -> None:
        super().__init__(StoreError)
        self._told = troubled

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, StoreError):
            self._told(str(error))
        return bool(super().__exit__(kind, error, trace))


async def closed_when_idle(balancer: LoadBalancer) -> None:
    """Close a candidate after the last question that it is answering."""
    while balancer.in_flight:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(PATIENCE)
    await balancer.close()
