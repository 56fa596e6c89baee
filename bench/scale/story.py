"""What is to be played and what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from equipoise.config import Config

METERED, BUDGET = "metered", "metered"
METERED_SHARE = 0.2
"""Share of the questions that a budget is for; the others are free of it."""
PACES = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Seconds of an answer, by the backend's number."""
READ, WRITTEN, MOST_WRITTEN = 100, 100, 400
PRICE = {"input": 1, "output": 2}
COST = READ * 1_000 + WRITTEN * 2_000
"""Nano-dollars of an answer at that price."""
SPENT_AFTER = 2.0 / 3.0
"""Share of the story after which one process would have spent the budget."""


@dataclass(frozen=True)
class Plan:
    """How large, how long, and how often the gateways speak (None: as shipped; infinity: never again).

    The first of `ill` backends falls ill after `settling` seconds, the last a minute (or `settling`) before the end.
    """

    backends: int = 1000
    replicas: int = 50
    questions: int = 1_000_000
    rate: float = 5_000.0
    ill: int = 20
    settling: float = 40.0
    every: float | None = None
    strategy: str = "performance_based"
    seed: int = 1

    @property
    def seconds(self) -> float:
        """How long questions come."""
        return self.questions / self.rate

    @property
    def limit(self) -> int:
        """The budget, in nano-dollars."""
        return int(self.questions * METERED_SHARE * COST * SPENT_AFTER)

    def illnesses(self) -> list[tuple[float, str]]:
        """When, and who: all of the middle pace."""
        span = self.seconds - self.settling - min(60.0, self.settling)
        middle = [name_of(number) for number in range(self.backends) if number % len(PACES) == len(PACES) // 2]
        return [(self.settling + span * n / self.ill, middle[n]) for n in range(self.ill)]


def name_of(number: int) -> str:
    """A backend's id."""
    return f"b{number:04d}"


def pace_of(backend_id: str) -> float:
    """Seconds of its answers, on the mean."""
    return PACES[int(backend_id[1:]) % len(PACES)]


def configured(plan: Plan) -> Config:
    """The configuration of every gateway."""
    backend = {"backend_type": "openai_direct", "endpoint_url": "http://b/v1", "api_key": "none", "price": PRICE}
    budget = {"usd": plan.limit / 1e9, "window": "total", "tenant": METERED}
    backends = {name_of(number): backend for number in range(plan.backends)}
    return Config.model_validate(
        {"backend_instances": backends, "strategy": plan.strategy, "budgets": {BUDGET: budget}}
    )


@dataclass
class Illness:
    """One backend that fails from some moment on, and how that was met."""

    backend_id: str
    began: float
    shunned_after: float | None = None
    failures: int = 0


@dataclass
class Told:
    """What became of it. Money in nano-dollars; `idle` are looks at what lay free in slices while there was a budget."""

    plan: Plan
    asked: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    illnesses: list[Illness] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    failed: int = 0
    refused: int = 0
    spent: int = 0

    @property
    def left(self) -> int:
        """What was not spent; less than nothing: the budget was overshot."""
        return self.plan.limit - self.spent

    def figures(self, truth: Told) -> dict[str, Any]:
        """The figures of a story beside those of one process."""
        shunned = [illness.shunned_after for illness in self.illnesses if illness.shunned_after is not None]
        waits, limit = sorted(self.seconds), self.plan.limit
        return {
            "gateways": self.plan.replicas,
            "every": self.plan.every,
            "elsewhere": distance(by_pace(self.asked), by_pace(truth.asked)),
            "p95": waits[int(len(waits) * 0.95)],
            "overshoot": max(0, -self.left),
            "idle": mean(self.idle) / limit,
            "left": self.left / limit,
            "refused in vain": max(0, self.refused - truth.refused) / self.plan.questions / METERED_SHARE,
            "ill": len(self.illnesses),
            "shunned by all": len(shunned),
            "shunned after": mean(shunned),
            "failures": mean([illness.failures for illness in self.illnesses]),
            "failed": self.failed,
        }


def mean(numbers: list[int] | list[float]) -> float:
    """Of nothing: 0."""
    return sum(numbers) / len(numbers) if numbers else 0.0


def by_pace(asked: Counter[str]) -> Counter[str]:
    """Attempts by the pace of their backend."""
    found: Counter[str] = Counter()
    for backend_id, count in asked.items():
        found[str(pace_of(backend_id))] += count
    return found


def distance(ours: Counter[str], theirs: Counter[str]) -> float:
    """Total variation: the share of questions that went elsewhere."""
    all_ours, all_theirs = ours.total(), theirs.total()
    return 0.5 * sum(abs(ours[name] / all_ours - theirs[name] / all_theirs) for name in ours.keys() | theirs.keys())
