"""What an operator may say of learning what each backend is good for."""

from __future__ import annotations

from typing import Literal

from equipoise.config.fields import FilePath, NotNegative, Positive, Section, Share, Text


class LearningConfig(Section):
    """How adaptive_learning begins, what it sees of a question, and where it keeps what it learned."""

    embedding: Literal["auto", "off"] = "auto"
    """Whether questions are also seen by a static embedding: where the extra `semantic` is installed, or never."""
    labels: FilePath | None = None
    """Scored answers to begin with where nothing was learned yet: JSON lines {"question", "backend", "quality"}."""
    save_seconds: Positive = 60.0
    """Seconds between two savings of what was learned; it is also saved at the end."""
    instance: Text = "main"
    """Name under which this process saves what it learned; several processes that share a state directory learn from each
    other, and get a number behind the name."""
    shadow_share: Share = 0.05
    """Share of questions copied to another backend on routes with `explore: shadow`."""
    shadow_usd_per_hour: NotNegative = 0.5
    """Most that the copies of any one hour are expected to cost, in USD, in each process."""
