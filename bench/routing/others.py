"""What is promised beside quality on a stream: a ranking offline (T8), replay (T9), the time a decision takes (T13), the
rules' eye for unsupported answers (T14). One function a target, as in targets.py.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from random import Random
from typing import Any

import numpy as np

from bench.decision.decide import Clock, backends, outcome
from bench.quality import pubmedqa
from bench.routing import baselines
from bench.routing.product import Product
from bench.routing.protocol import Stream, shuffled
from bench.routing.setting import Setting
from bench.routing.targets import NO_BUDGET, Found, product
from equipoise.core.events import AnswerScored
from equipoise.core.intake import Hints, Intake
from equipoise.core.model import Message, Question
from equipoise.core.policies import make_policy
from equipoise.core.replay import Recorded, finding
from equipoise.core.routing import Route, Router
from equipoise.core.selection import Lease, Selection

FLOOR, DECISIONS = 0.10, 2500
STRONG = {"mmlu": (0.62, 0.52), "gsm8k": (0.58, 0.68)}
"""Of each collection: the average gap recovered, and the share of strong calls for 95 % of the strong model's quality."""


def t8(of: Setting) -> list[Found]:
    """Two models of which one is strong and dear: whom to ask, from labels alone (RouteLLM's measure)."""
    found = []
    for name, (gap, calls) in STRONG.items():
        wanted = f"{gap:.2f}, with {calls:.0%}"
        if not of.has(f"routellm-{name}"):
            found.append(Found("T8", f"no routellm-{name} in the data", wanted, None))
            continue
        recovered, needed = _ranked(of, f"routellm-{name}")
        shown = f"{name}: {recovered:.3f} of the gap, 95 % of the strong model with {needed:.0%} strong calls"
        found.append(Found("T8", shown, wanted, recovered >= gap and needed <= calls))
    return found


def _ranked(of: Setting, name: str) -> tuple[float, float]:
    split = of.split(name)
    stream = shuffled(split, 0, len(split.labelled), NO_BUDGET)
    router = product(stream)
    router.warm(split.table.rows(stream.warm), [split.features[i] for i in stream.warm], [""] * len(stream.warm))
    means = split.table.costs.mean(axis=0)
    strong, weak = int(np.argmax(means)), int(np.argmin(means))
    worth = np.array([_worth(router, split.features[row]) for row in stream.rows])
    order = np.argsort(worth[:, weak] - worth[:, strong])  # the strong one's greatest gain first
    rewards = split.table.rewards[stream.rows][order]
    gained = np.concatenate([[0.0], np.cumsum(rewards[:, strong] - rewards[:, weak])]) / len(order)
    curve, low, high = rewards[:, weak].mean() + gained, rewards[:, weak].mean(), rewards[:, strong].mean()
    enough = np.flatnonzero(curve >= 0.95 * high)
    area = float(np.trapezoid(curve, dx=1.0 / len(order)))
    return (area - low) / (high - low), float(enough[0] / len(order)) if len(enough) else 1.0


def _worth(router: Product, features: tuple[float, ...]) -> list[float]:
    learner: Any = router.policy.learner  # type: ignore[attr-defined]
    x = learner.vector(features)
    return [learner.about(model, x, 0.5).mean for model in router.models]


def t9(of: Setting) -> list[Found]:
    """Replay of what the product logged: how far the estimate is from the truth, and are the propensities what they say?"""
    if not of.has("llmrouter"):
        return [Found("T9", "no llmrouter in the data", "replay", None)]
    split = of.split("llmrouter")
    warm = int(0.10 * len(split.table))
    errors, covered, router = [], 0, None
    print(f"\nT9: {DECISIONS} decisions logged with a floor of {FLOOR:.0%}; judged: ridge on every label, greedy")
    for seed in range(of.shuffles):
        stream = shuffled(split, seed, warm, NO_BUDGET, min(DECISIONS, of.streamed(split, warm)))
        router = product(stream, exploration_floor=FLOOR)
        log = _logged(stream, router)
        judged = baselines.ceiling(stream)
        target = [{router.models[model]: 1.0} for model in judged.chosen]
        told = finding("quality", log, target)
        assert told is not None
        estimate = told.doubly_robust
        errors.append(estimate.value - judged.quality)
        covered += estimate.low <= judged.quality <= estimate.high
        print(
            f"  truth {judged.quality:.4f}  doubly robust {estimate.value:.4f} ({estimate.low:.4f} to {estimate.high:.4f})"
            f"  worth {told.effective:.0f} decisions{'  refused: ' + told.refusal if told.refusal else ''}"
        )
    error = float(np.sqrt(np.mean(np.square(errors))))
    assert router is not None
    apart, total = _drawn(router, 10_000 if of.quick else 100_000)
    return [
        Found(
            "T9", f"doubly robust RMSE {error:.4f}, {covered} of {of.shuffles} intervals cover", "0.02", error <= 0.02
        ),
        Found(
            "T9",
            f"propensities sum to {total:.9f}, {apart:.4f} from how often each was drawn",
            "1, within 0.01",
            apart <= 0.01 and abs(total - 1.0) < 1e-9,
        ),
    ]


def _logged(stream: Stream, router: Product) -> list[Recorded]:
    split, log = stream.split, []
    table = split.table.rows(stream.warm)
    router.warm(table, [split.features[i] for i in stream.warm], [split.kinds[i] for i in stream.warm])
    for step, row in enumerate(stream.rows):
        features, kind = split.features[row], split.kinds[row]
        model = router.choose(features, kind)
        reward, cost = stream.reward(step, model), float(split.table.costs[row, model])
        log.append(
            Recorded(
                backend_id=router.models[model],
                probabilities=dict(router.choice.probabilities),
                kind=kind,
                features=features[:13],
                quality=reward,
                cost=cost,
            )
        )
        router.learn(features, kind, model, reward, cost)
    return log


def _drawn(router: Product, times: int) -> tuple[float, float]:
    """The largest distance between a probability and how often its backend was drawn; the sum of probabilities."""
    policy, candidates, request = router.policy, router.candidates, router.request
    chances = policy.choose(candidates, request).probabilities
    counts = dict.fromkeys(chances, 0)
    for _ in range(times):
        counts[policy.choose(candidates, request).backend_id] += 1
    return max(abs(counts[name] / times - chance) for name, chance in chances.items()), sum(chances.values())


def t13(of: Setting) -> list[Found]:
    """A question seen, decided, settled and learned from, by the path of the gateway; real questions, five backends."""
    if not of.has("paretobandit"):
        return [Found("T13", "no paretobandit/val.jsonl", "p50 1 ms, p99 5 ms", None)]
    prompts = of.split("paretobandit").table.prompts
    seconds = sorted(_decided(of, prompts))
    p50, p99 = statistics.median(seconds) * 1e3, seconds[int(0.99 * len(seconds))] * 1e3
    print(f"\nT13: {len(seconds)} questions, features and learning included: p50 {p50:.2f} ms, p99 {p99:.2f} ms")
    return [Found("T13", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms", "1 and 5", p50 <= 1.0 and p99 <= 5.0)]


def _decided(of: Setting, prompts: list[str]) -> list[float]:
    chance, clock, taken = Random(1), Clock(), list[float]()
    everyone = backends(5, chance)
    routes = {"auto": Route(name="auto", backends=tuple(b.id for b in everyone), strategy="adaptive_learning")}
    selection = Selection(
        everyone, routes, lambda route, name: make_policy(name, chance=chance), clock=clock, chance=chance
    )
    router = Router(routes, tuple(selection.backends))
    intake = Intake(router, of.describer.kind, clock=clock, chance=chance, features=of.describer.features)
    open_leases = deque[Lease]()
    for number, prompt in enumerate(prompts):
        clock.now += 0.2
        began = time.perf_counter()
        request, _ = intake.request(Question(messages=[Message("user", prompt)]), Hints(request_id=f"r{number}"))
        open_leases.append(selection.acquire(request))
        spent = time.perf_counter() - began
        if len(open_leases) < 15:
            continue
        lease, result = open_leases.popleft(), outcome(chance)
        score = _score(lease, chance.random())
        began = time.perf_counter()
        selection.settle(lease, result)
        selection.scored(score)
        if number >= 100:
            taken.append(spent + time.perf_counter() - began)
    return taken


def _score(lease: Lease, quality: float) -> AnswerScored:
    return AnswerScored(
        request_id=lease.request.id,
        attempt=1,
        backend_id=lease.backend_id,
        route="auto",
        tenant="default",
        kind=lease.request.kind,
        role="answer",
        quality=quality,
        variance=0.02,
        source="judge",
    )


def t14(of: Setting) -> list[Found]:
    """Answers with sources that bear them out, told from those with sources that do not."""
    found = []
    papers, passages = pubmedqa.pubmedqa(of.data), pubmedqa.rgb(of.data)
    if papers:
        right, wrong = ([pubmedqa.answered(it, getattr(it, side)) for it in papers] for side in ("right", "wrong"))
        area = pubmedqa.auc(map(pubmedqa.lexical, right), map(pubmedqa.lexical, wrong))
        taken = statistics.median(pubmedqa.timed(papers))
        shown = f"PubMedQA: lexical AUC {area:.3f}, {taken:.2f} ms an answer"
        found.append(Found("T14", shown, "0.95, 1 ms", area >= 0.95 and taken <= 1.0))
    else:
        found.append(Found("T14", "no pubmedqa in the data", "0.95, 1 ms", None))
    if passages:
        right, wrong = ([pubmedqa.answered(it, getattr(it, side)) for it in passages] for side in ("right", "wrong"))
        area = pubmedqa.auc([pubmedqa.support(it).value for it in right], [pubmedqa.support(it).value for it in wrong])
        found.append(Found("T14", f"RGB: AUC {area:.3f}", "0.90", area >= 0.90))
    else:
        found.append(Found("T14", "no rgb/*.json in the data", "0.90", None))
    return found


OTHERS = {"T8": t8, "T9": t9, "T13": t13, "T14": t14}
