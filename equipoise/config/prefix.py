"""What an operator may say of prompts that begin alike."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from equipoise.config.fields import Count, Section


class PrefixAffinityConfig(Section):
    """Which prompts stay with one backend because they begin alike."""

    characters: Count = 4096
    """Characters of the beginning that count, tools and instructions first; shorter prompts go by the strategy alone."""


def _switched(said: Any) -> Any:
    """`true` is a section that says nothing, `false` is none."""
    return ({} if said else None) if isinstance(said, bool) else said


PrefixAffinity = Annotated[PrefixAffinityConfig | None, BeforeValidator(_switched)]
