"""Recorded decisions with what came of them, for judging what another policy would have done."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from equipoise.core.features import FEATURES_VERSION
from equipoise.core.model import Candidate, CostSource, NanoUSD, Usage, Verdict
from equipoise.stores.database import Connection, Database, Row
from equipoise.stores.reports import QUALITY, Wanted, condition_of
from equipoise.stores.rows import grounds_in
from equipoise.stores.sqlite import database_of, ledger_schema

PINNED = "pinned"
TEACHING = (Verdict.SUCCESS, Verdict.FAILURE, Verdict.NO_ANSWER)
"""What says something of a backend; throttles, refusals and callers that left do not."""
_COLUMNS = """wall, route, strategy, kind, session, backend_id, verdict, cost, cost_source, latency, first_token, features, features_version,
       decision,
       question_tokens, input_tokens, output_tokens, cached_tokens, reasoning_tokens, citation_tokens, searches, fees"""
_FIRST = f"number = 1 AND role = 'answer' AND strategy != '{PINNED}' AND verdict IN ('success', 'failure', 'no_answer')"
_ROWS = f"""
SELECT {_COLUMNS}, ({QUALITY}) AS quality
FROM attempts
WHERE {_FIRST} AND wall >= :since AND wall < :until AND (:route = '' OR route = :route)
ORDER BY wall, request_id
"""  # noqa: S608 - constants


class StoredDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The first decision of one question: whom it could have chosen with which probability, and what came of it.

    `wall` is Unix seconds; cost in nano-dollars, times in seconds; `quality` by the best source there is, None where nobody scored the answer.
    """

    wall: float
    route: str
    strategy: str
    kind: str
    session: str | None
    backend_id: str
    answered: bool
    cost: NanoUSD
    cost_source: CostSource
    seconds: float | None
    first_token: float | None
    quality: float | None
    features: dict[str, float]
    question_tokens: int
    usage: Usage
    candidates: tuple[Candidate, ...]
    probabilities: dict[str, float]


def stored_decisions(
    where: str | Path | Database, since: float, until: float, route: str = ""
) -> tuple[list[StoredDecision], int]:
    """Decisions of [since, until) in the order of time, and how many rows were written by a version that is not understood.

    First attempts only (later ones depend on what failed), and only those left to a strategy. Raises StoreError when
    there is no ledger to read.
    """
    found, strange = [], 0
    ledger = database_of(where, ledger_schema())
    with ledger.reading(f"the ledger {ledger.name}") as connection:
        for row in connection.execute(_ROWS, {"since": since, "until": until, "route": route}):
            decision = _decision_of(row)
            if decision is None:
                strange += 1
            else:
                found.append(decision)
    return found, strange


def newest_decisions(connection: Connection, wanted: Wanted, most: int) -> list[StoredDecision]:
    """The same of those wanted, the newest ones, in the order of time; what is not understood is left out."""
    condition, values = condition_of(wanted)
    sql = f"SELECT {_COLUMNS}, ({QUALITY}) AS quality FROM attempts WHERE {_FIRST} AND {condition} ORDER BY wall DESC LIMIT ?"  # noqa: S608
    found = [_decision_of(row) for row in connection.execute(sql, [*values, most])]
    return [one for one in reversed(found) if one is not None]


def _decision_of(row: Row) -> StoredDecision | None:
    probabilities, candidates = grounds_in(row["decision"])
    if candidates is None:
        return None
    usage = Usage(
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cached_tokens=row["cached_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        citation_tokens=row["citation_tokens"],
        searches=row["searches"],
        fees=row["fees"],
    )
    return StoredDecision(
        wall=row["wall"],
        route=row["route"],
        strategy=row["strategy"],
        kind=row["kind"],
        session=row["session"],
        backend_id=row["backend_id"],
        answered=row["verdict"] == Verdict.SUCCESS,
        cost=row["cost"],
        cost_source=CostSource(row["cost_source"]),
        seconds=row["latency"],
        first_token=row["first_token"],
        quality=row["quality"],
        features=json.loads(row["features"]) if row["features_version"] == FEATURES_VERSION else {},
        question_tokens=row["question_tokens"],
        usage=usage,
        candidates=candidates,
        probabilities=_whole(probabilities or {row["backend_id"]: 1.0}),
    )


def _whole(probabilities: dict[str, float]) -> dict[str, float]:
    """The vector given the tier that the question fell to: a tier takes its share only."""
    total = sum(probabilities.values())
    return {name: chance / total for name, chance in probabilities.items()} if total > 0.0 else probabilities
