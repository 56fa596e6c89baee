"""What governs a migration, as plain values."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from equipoise.core.canary import Rules
from equipoise.core.model import NANO_PER_USD, NanoUSD
from equipoise.core.rollout import Criteria

TOPIC = "migration"
INCUMBENT = "incumbent"
"""The old side's name as a backend and as a route."""

QUERIES = (
    "What is clinical metabolomics?",
    "Latest biomarkers for diabetes",
    "Metabolic pathway analysis methods",
)
"""The specification's validation queries; a phase with more of them asks these in turn."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a migration is run.

    `holds` are seconds that a phase lasts at least, `salt` shuffles who goes first, `tenants_are_keys` keeps the users
    of one tenant together (then the split is only as fine as there are tenants). `shadow_share` of the old side's
    questions are copied at 0 %, for at most `shadow_per_hour` nano-dollars in any hour; `validation_cost` nano-dollars
    bound the expected cost of one phase's validation queries. `pending` maps gates that nothing can measure yet to the
    feature that will. With `rescue` the old side answers what the new one could not; `rules` compare both sides and
    roll back by themselves, where there are any.
    """

    criteria: Criteria = Criteria()
    holds: Mapping[int, float] = {}
    salt: str = ""
    tenants_are_keys: bool = False
    shadow_share: float = 0.0
    shadow_per_hour: NanoUSD = NANO_PER_USD
    shadow_parallel: int = 4
    shadow_queue: int = 32
    validation_cost: NanoUSD = NANO_PER_USD
    validation_queries: tuple[str, ...] = QUERIES
    rescue: bool = False
    rules: Rules | None = None
    pending: Mapping[str, str] = {}
