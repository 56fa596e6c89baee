"""What a backend's recorded answers were like: for fitting a model of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from equipoise.stores.sqlite import StoreError, open_for_reading

MOST = 20_000
_ANSWERS = """
SELECT first_token, latency, output_tokens FROM attempts
WHERE backend_id = ? AND verdict = 'success' AND latency IS NOT NULL ORDER BY wall DESC LIMIT ?
"""
_FAILURES = "SELECT COUNT(*) FROM attempts WHERE backend_id = ? AND verdict = 'failure'"


def measured_answers(path: Path, backend_id: str) -> tuple[list[tuple[float | None, float, int]], int]:
    """The last 20,000 answers (seconds to the first token or None, seconds in all, tokens), and how many attempts failed.

    Raises StoreError when there is no ledger to read.
    """
    try:
        with closing(open_for_reading(path)) as connection:
            answers = [tuple(row) for row in connection.execute(_ANSWERS, (backend_id, MOST))]
            (failures,) = connection.execute(_FAILURES, (backend_id,)).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the ledger {path}: {error}") from error
    return answers, int(failures)
