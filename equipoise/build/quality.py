"""What scores answers: rules, calibration, a judge, and where labels are kept."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import Any

from msgspec.structs import replace

from equipoise.balancer import LoadBalancer
from equipoise.build.store import ledger_in, state_in
from equipoise.config import Config
from equipoise.config.quality import JudgeConfig
from equipoise.core.allowance import Allowance
from equipoise.core.intake import Hints
from equipoise.core.model import NANO_PER_USD, NanoUSD, Question, Request
from equipoise.scoring.calibration import Calibration, merged
from equipoise.scoring.judge import ROLE, Judge, Judged
from equipoise.scoring.opinions import Opinion
from equipoise.scoring.remembered import Known
from equipoise.scoring.score import Weights
from equipoise.scoring.scorer import Closeness, Find, Options, Scorer
from equipoise.stores.database import Database
from equipoise.stores.ledger import Ledger
from equipoise.stores.quality import QualityRecords
from equipoise.stores.sqlite import StoreError
from equipoise.stores.state import StateConflict, StateStore

STATE = "quality-labels"
TENANT = "judge"
"""Whom grades are counted for: no tenant pays for them, nor uses up his budget."""

logger = logging.getLogger("equipoise.quality")


class Lasting:
    """Keeps the records open across changes of the configuration, until the balancer closes."""

    def __init__(self, records: QualityRecords) -> None:
        self._records = records

    async def start(self) -> None:
        """Open already."""

    async def close(self) -> None:
        """Write what is left."""
        await self._records.close()


def with_scorer(
    config: Config, balancer: LoadBalancer, ledger: Ledger | None, on_error: Callable[[str], None]
) -> QualityRecords | None:
    """Give the balancer its scorer; returns where the quality of answers is recorded, if it is."""
    records = records_of(config, on_error)
    balancer.scorer = scorer_of(config, balancer, ledger, records)
    if records is not None:
        balancer.observers.append(records.observe)
        balancer.background.append(Lasting(records))
    balancer.background.append(balancer.scorer)
    return records


def records_of(config: Config, on_error: Callable[[str], None]) -> QualityRecords | None:
    """The record of quality, in the ledger's file. Raises StoreError if it cannot be opened."""
    database = ledger_in(config)
    return QualityRecords(database, on_error=on_error) if database else None


def scorer_of(config: Config, balancer: LoadBalancer, ledger: Ledger | None, records: QualityRecords | None) -> Scorer:
    """The scorer of a balancer; it keeps its labels where a ledger is kept. Raises ImportError without the extra."""
    of, wall = config.quality, balancer.selection.clock.wall
    priors = {name: backend.options.quality for name, backend in balancer.selection.backends.items()}
    scorer = Scorer(
        options_of(config),
        Calibration(priors),
        chance=random.Random(config.seed),  # noqa: S311 - a sample, and none of the balancer's draws
        wall=wall,
        judge=judge_of(of.judge, balancer) if of.judge is not None else None,
        closeness=closeness_of(of.embedding),
        find=find_in(ledger, records) if records is not None and ledger is not None else None,
        keeper=Labels(state_in(config)) if records is not None else None,
        on_trouble=logger.warning,
    )
    scorer.tell = balancer.scored
    return scorer


def find_in(ledger: Ledger, records: QualityRecords) -> Find:
    """Looks up a tenant's answer that is no longer remembered; StoreError when the ledger cannot be read."""

    async def find(request_id: str, tenant: str | None) -> Known | None:
        story = [row for row in await ledger.story(request_id) or [] if tenant in (None, row["tenant"])]
        answers = [row for row in story if row["verdict"] == "success" and row["role"] != ROLE]
        return _known(answers[-1], await records.of(request_id)) if answers else None

    return find


def _known(row: Mapping[str, Any], opinions: Iterable[Mapping[str, Any]]) -> Known:
    names = ("request_id", "backend_id", "route", "tenant", "kind", "role")
    own = [of for of in opinions if (of["number"], of["tenant"]) == (row["number"], row["tenant"])]
    given = {of["voice"]: Opinion(of["voice"], of["quality"], of["variance"], of["dimensions"]) for of in own}
    score = next((of["score"] for of in own if of["score"] is not None), None)
    return Known(attempt=row["number"], score=score, opinions=given, **{name: row[name] for name in names})


def options_of(config: Config) -> Options:
    """How much is scored and what counts."""
    of = config.quality
    return Options(
        sampling=config.quality_sampling_rate,
        judged=of.judge.share if of.judge is not None else 0.0,
        weights=Weights(
            relevance=of.weights.response_relevance,
            support=of.weights.factual_accuracy,
            completeness=of.weights.completeness,
            citations=of.weights.citation_quality,
        ),
        queue=of.queue,
        remember=of.remember,
    )


def judge_of(of: JudgeConfig, balancer: LoadBalancer) -> Judge:
    """A judge among the balancer's own backends; its attempts go the way of all others, under a role of their own."""
    clock = balancer.selection.clock

    async def ask(request: Request, question: Question, most: NanoUSD) -> Judged:
        classes = request.data_classes
        hints = Hints(
            request_id=f"{request.id}.judge", tenant=TENANT, max_cost=most, repeatable=False, data_classes=classes
        )
        sized, _ = balancer.intake.request(question, hints)
        deadline = clock.monotonic() + of.timeout_seconds
        reply = await balancer.answer(
            replace(sized, pinned=of.backend, role=ROLE, kind=ROLE, min_quality=0.0, deadline=deadline)
        )
        return Judged(reply.text, reply.cost)

    def allowed(backend_id: str, request: Request) -> bool:
        judge = balancer.selection.backends.get(backend_id)
        return judge is not None and request.data_classes <= judge.options.allows

    allowance = Allowance(round(of.max_usd_per_hour * NANO_PER_USD), 1, clock)
    return Judge(of.backend, ask, allowance, allowed=allowed, own_answers=of.own_answers)


def closeness_of(embedding: str) -> Closeness | None:
    """Word vectors, where they are wanted."""
    if embedding == "off":
        return None
    from equipoise.scoring.semantic import Closeness as WordVectors

    return WordVectors()


class Labels:
    """Keeps labels among the state, one table for all processes that share it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> Mapping[str, Any] | None:
        """What was kept, or None."""
        kept: Mapping[str, Any] | None = self._with(lambda store: store.read(STATE)[1])
        return kept

    def add(self, news: Mapping[str, Any]) -> Mapping[str, Any]:
        """Add labels to what is kept; gives all of it."""

        def add(store: StateStore) -> Mapping[str, Any]:
            while True:
                version, kept = store.read(STATE)
                value = merged(kept, news)
                try:
                    store.write(STATE, value, version, None)
                except StateConflict:
                    continue
                return value

        kept: Mapping[str, Any] = self._with(add)
        return kept

    def _with(self, action: Callable[[StateStore], Any]) -> Any:
        try:
            with closing(StateStore(self._database)) as store:
                return action(store)
        except StoreError as error:
            raise OSError(str(error)) from error
