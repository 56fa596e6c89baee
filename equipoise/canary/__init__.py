"""A candidate beside the control in one gateway: watched by statistics that may be looked at after every question.

`CanaryBalancer` answers each question by the side that takes its key, `Canary` carries out orders and decides by itself,
`Watch` gathers the evidence (also of a migration's sides). `equipoise.core.canary` is the arithmetic, without any of this.
"""

from equipoise.canary.canary import Canary
from equipoise.canary.candidates import Candidate, CandidateRefused, Candidates, ReplayVerdict, not_available
from equipoise.canary.settings import Settings
from equipoise.canary.shadow import Shadow
from equipoise.canary.sides import CanaryBalancer, sticky_key
from equipoise.canary.watch import Watch

__all__ = [
    "Canary",
    "CanaryBalancer",
    "Candidate",
    "CandidateRefused",
    "Candidates",
    "ReplayVerdict",
    "Settings",
    "Shadow",
    "Watch",
    "not_available",
    "sticky_key",
]
