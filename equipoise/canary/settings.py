"""What governs a canary, as plain values."""

from __future__ import annotations

import msgspec

from equipoise.core.canary import Rules, measures
from equipoise.core.ladder import Plan
from equipoise.core.model import NanoUSD


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a canary is run: what is compared, how it climbs, and the copies before its first percent.

    `copy_share` of the control's questions are copied, for at most `copies_per_hour` nano-dollars in any hour. With
    `require_replay` another strategy needs a verdict over recorded decisions first.
    """

    rules: Rules = Rules(measures=measures())
    plan: Plan = Plan()
    copy_share: float = 0.1
    copies_per_hour: NanoUSD = 0
    copies_at_once: int = 4
    require_replay: bool = False
