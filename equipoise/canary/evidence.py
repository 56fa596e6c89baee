"""Which ends of a question say anything about the side that was asked."""

from __future__ import annotations

from equipoise.core.attempts import Unanswered
from equipoise.core.rollout import SHADOW, VALIDATION

CALLERS_FAULT = frozenset({"invalid_request_error", "model_not_found", "context_length_exceeded"})
"""Ends that say nothing about a side: it would have been the same on the other."""
TOO_DEAR = "budget_exceeded"
OURS = (SHADOW, VALIDATION)


def is_evidence(role: str, error: Unanswered) -> bool:
    """Does this end say anything about the side? Not what was the caller's fault, nor what our own purse forbade."""
    return error.code not in CALLERS_FAULT and not (role in OURS and error.code == TOO_DEAR)
