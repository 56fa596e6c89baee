"""What an operator may say of questions that are asked again under an Idempotency-Key."""

from __future__ import annotations

from equipoise.config.fields import Count, NotNegative, Section


class IdempotencyConfig(Section):
    """How long an answer can be had again, and how much memory that may take."""

    seconds: NotNegative = 600.0
    """Seconds a whole answer is kept for the same Idempotency-Key; 0 only joins a question in flight."""
    max_bytes: Count = 64 * 1024 * 1024
    """Most bytes of kept answers; the oldest go first."""
