"""Equipoise: a load balancer and gateway for answer engines.

async with LoadBalancer.from_config("equipoise.yaml") as balancer:
    reply = await balancer.ask("Which metabolites rise in diabetes?")
    print(reply.text, reply.cost_usd, reply.reason)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from equipoise.balancer import AnswerStream, Hints, Interrupted, LoadBalancer, Reply, Unanswered
    from equipoise.core.model import Answer, Candidate, Choice, Citation, Decision, Message, Policy, Question, Usage

__version__ = "0.1.0"

_HOMES = {
    "equipoise.balancer": ("AnswerStream", "Hints", "Interrupted", "LoadBalancer", "Reply", "Unanswered"),
    "equipoise.core.model": (
        "Answer", "Candidate", "Choice", "Citation", "Decision", "Message", "Policy", "Question", "Usage",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Answer",
    "AnswerStream",
    "Candidate",
    "Choice",
    "Citation",
    "Decision",
    "Hints",
    "Interrupted",
    "LoadBalancer",
    "Message",
    "Policy",
    "Question",
    "Reply",
    "Unanswered",
    "Usage",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Public names are loaded when first used: the command line starts without them."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'equipoise' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
