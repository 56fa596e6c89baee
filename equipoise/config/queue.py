"""What an operator may say of the queue before the backends, and of second copies of slow questions."""

from __future__ import annotations

from equipoise.config.fields import NotNegative, Positive, Section, Share, WholeNumber


class QueueConfig(Section):
    """Who finds all places taken waits for one, fairly and not for long."""

    places: WholeNumber = 100
    """Questions that may wait at once; 0 turns away whoever does not fit."""
    max_wait_seconds: Positive = 5.0
    """Longest wait; who would wait longer is turned away at once, with 503 and Retry-After."""


class HedgeConfig(Section):
    """Ask a second backend when the first is later than it nearly ever is; the slower one is given up, and booked."""

    enabled: bool = False
    """Whether this is done. It costs more: both may bill."""
    share: Share = 0.05
    """Share of questions that may be asked twice."""
    max_usd_per_hour: NotNegative = 1.0
    """What second copies may be expected to cost in an hour."""
