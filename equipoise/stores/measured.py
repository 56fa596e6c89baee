"""What a backend's recorded answers were like: for fitting a model of it."""

from __future__ import annotations

from pathlib import Path

from equipoise.stores.database import Database
from equipoise.stores.sqlite import database_of, ledger_schema

MOST = 20_000
_ANSWERS = """
SELECT first_token, latency, output_tokens FROM attempts
WHERE backend_id = ? AND verdict = 'success' AND latency IS NOT NULL ORDER BY wall DESC LIMIT ?
"""
_FAILURES = "SELECT COUNT(*) FROM attempts WHERE backend_id = ? AND verdict = 'failure'"


def measured_answers(
    where: str | Path | Database, backend_id: str
) -> tuple[list[tuple[float | None, float, int]], int]:
    """The last 20,000 answers (seconds to the first token or None, seconds in all, tokens), and how many attempts failed.

    Raises StoreError when there is no ledger to read.
    """
    ledger = database_of(where, ledger_schema())
    with ledger.reading(f"the ledger {ledger.name}") as connection:
        answers = [tuple(row) for row in connection.execute(_ANSWERS, (backend_id, MOST))]
        (failures,) = connection.execute(_FAILURES, (backend_id,)).fetchone()
    return answers, int(failures)
