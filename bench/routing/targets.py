"""What is promised of routing, measured: one function a target, each prints its table and returns what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.routing import baselines, peer
from bench.routing.product import Product
from bench.routing.protocol import Run, Stream, interval, over, replayed, shuffled
from bench.routing.setting import Setting

BUDGETS = (2.93e-5, 8.29e-5, 2.35e-4, 6.64e-4, 1.88e-3, 5.31e-3, 1.5e-2)
PHASES = {"tight": 3.0e-4, "moderate": 6.62e-4, "loose": 1.87e-3}
DROPPED, WORTH = "mistralai/mistral-large-2512", 0.75  # the peer's experiment with a silent drop
NO_BUDGET = 1e3


@dataclass
class Found:
    """One promise: what was measured, what was wanted, and whether it holds."""

    target: str
    measured: str
    wanted: str
    holds: bool | None

    def __str__(self) -> str:
        word = {True: "holds", False: "MISSED", None: "not measured"}[self.holds]
        return f"{self.target:4} {word:13}{self.measured}  (wanted: {self.wanted})"


def product(stream: Stream, **options: float) -> Product:
    """The product as it is shipped, with the stream's budget."""
    models = stream.split.table.models
    return Product(models, stream.budget, seed=stream.seed, horizon=len(stream.rows), **options)


def linucb(stream: Stream) -> baselines.LinUCB:
    """The control: cold, the same features, ridge and pacing."""
    size = stream.split.matrix.shape[1]
    return baselines.LinUCB(len(stream.split.table.models), size, stream.budget, len(stream.rows))


def told(values: Sequence[float]) -> str:
    """Mean ± half of the 95 % interval."""
    mean, half = interval(values)
    return f"{mean:.4f} ±{half:.4f}"


def qualities(runs: Sequence[Run]) -> list[float]:
    return [run.quality for run in runs]


def used(runs: Sequence[Run], budget: float) -> float:
    return float(np.mean([run.spent(budget) for run in runs]))


def t1(of: Setting) -> list[Found]:
    """Quality at seven budgets, on the peer's own questions."""
    if not of.has("paretobandit"):
        return [Found("T1", "no paretobandit/val.jsonl", "quality at 7 budgets", None)]
    split, warm = of.split("paretobandit"), 357
    print(f"\nT1: {len(split.table)} questions of ParetoBandit, {warm} labelled, {of.streamed(split, warm)} streamed")
    budgets = BUDGETS[1::2] if of.quick else BUDGETS
    streams = {b: [shuffled(split, s, warm, b, of.streamed(split, warm)) for s in range(of.shuffles)] for b in budgets}
    theirs = _peer_runs(of, "t1", [s for b in budgets for s in streams[b]])
    print(
        f"{'$ a question':>12} {'ours':16} used  {'paretobandit':16} used  {'mix':7} {'single':7} "
        f"{'LinUCB':7} {'random':7} {'ceiling':7} {'oracle':7}"
    )
    gains, spent = {}, []
    for number, budget in enumerate(budgets):
        own = over(streams[budget], product)
        other = theirs[number * of.shuffles : (number + 1) * of.shuffles] if theirs else []
        _line(streams[budget], own, other)
        spent.append(used(own, budget))
        if other:
            gains[budget] = [a.quality - b.quality for a, b in zip(own, other, strict=True)]
    least = max(s.costs().mean(axis=0).min() / b for b in budgets for s in streams[b])
    shown = f"most of a budget used: {max(spent):.3f} (always the cheapest model: {least:.3f})"
    found = [Found("T1", shown, "at most 1.01", max(spent) <= 1.01)]
    return found + (_against_the_peer(gains) if gains else [Found("T1", "no peer", "at least the peer", None)])


def _against_the_peer(gains: dict[float, list[float]]) -> list[Found]:
    means = {budget: interval(of)[0] for budget, of in gains.items()}
    least = min(means, key=lambda budget: means[budget])
    middle = [of for budget, of in gains.items() if budget in BUDGETS[1:6]]
    mean, half = interval(np.mean(middle, axis=0))
    return [
        Found(
            "T1",
            f"least gain over the peer {100 * means[least]:+.2f} points at ${least:g}",
            "at least the peer at every budget, within 0.1",
            means[least] >= -0.001,
        ),
        Found(
            "T1",
            f"gain over the peer {100 * mean:+.2f} ±{100 * half:.2f} points over the middle budgets",
            "+0.7",
            mean >= 0.007,
        ),
    ]


def _peer_runs(of: Setting, name: str, streams: Sequence[Stream]) -> list[Run]:
    if not of.peer:
        return []
    try:
        return peer.runs(name, streams)
    except peer.PeerMissing as missing:
        print(f"peer: {missing}")
        return []


def _line(streams: Sequence[Stream], own: Sequence[Run], other: Sequence[Run]) -> None:
    budget = streams[0].budget
    theirs = f"{told(qualities(other))} {used(other, budget):5.2f}" if other else f"{'-':16}     -"
    control = over(streams, linucb)
    print(
        f"{budget:12.3g} {told(qualities(own))} {used(own, budget):5.2f}  {theirs}  "
        f"{np.mean([baselines.static_mix(s) for s in streams]):.4f}  "
        f"{np.mean([baselines.best_single(s).quality for s in streams]):.4f}  "
        f"{np.mean(qualities(control)):.4f}  "
        f"{np.mean([baselines.random(s).quality for s in streams]):.4f}  "
        f"{np.mean([baselines.ceiling(s).quality for s in streams]):.4f}  "
        f"{np.mean([baselines.oracle(s) for s in streams]):.4f}",
        flush=True,
    )


def t2(of: Setting) -> list[Found]:
    """A model that becomes worse without failing, and recovers: three phases."""
    if not of.has("paretobandit"):
        return [Found("T2", "no paretobandit/val.jsonl", "a silent drop", None)]
    split, warm = of.split("paretobandit"), 357
    print("\nT2: mistral-large is worth 0.75 in the second of three phases; the third repeats the first")
    budgets = {"moderate": PHASES["moderate"]} if of.quick else PHASES
    streams = {
        name: [phased(shuffled(split, s, warm, b, of.streamed(split, warm))) for s in range(of.shuffles)]
        for name, b in budgets.items()
    }
    theirs = _peer_runs(of, "t2", [s for name in budgets for s in streams[name]])
    found = []
    for number, (name, budget) in enumerate(budgets.items()):
        own = over(streams[name], product)
        other = theirs[number * of.shuffles : (number + 1) * of.shuffles]
        for label, runs in (("ours", own), ("paretobandit", other)):
            if runs:
                shown = "   ".join(
                    f"{told(q)} {np.mean(u):5.2f}" for q, u in (_phase(runs, k, budget) for k in range(3))
                )
                print(f"{name:9} {label:13} {shown}")
        if other:
            found.append(_phases_found(name, own, other, budget))
    return found or [Found("T2", "no peer", "+1.5 points in phases 1 and 3, -0.5 in 2", None)]


def _phases_found(name: str, own: Sequence[Run], other: Sequence[Run], budget: float) -> Found:
    gains = [np.mean(_phase(own, k, budget)[0]) - np.mean(_phase(other, k, budget)[0]) for k in range(3)]
    most = max(float(np.mean(_phase(own, k, budget)[1])) for k in range(3))
    holds = gains[0] >= 0.015 and gains[1] >= -0.005 and gains[2] >= 0.015 and most <= 1.07
    shown = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    return Found(
        "T2", f"{name}: {shown} points against the peer, used {most:.2f}", "+1.5, -0.5, +1.5, used 1.07", bool(holds)
    )


def _phase(runs: Sequence[Run], which: int, budget: float) -> tuple[list[float], list[float]]:
    third = len(runs[0].rewards) // 3
    part = slice(which * third, (which + 1) * third)
    return [float(r.rewards[part].mean()) for r in runs], [float(r.costs[part].mean() / budget) for r in runs]


def phased(stream: Stream) -> Stream:
    """Three phases of equal length: as it is, with one model worse, and the first phase's questions again."""
    half = len(stream.rows) // 2
    again = np.random.default_rng(stream.seed).permutation(stream.rows[:half])
    dropped = stream.split.table.models.index(DROPPED)
    changed = {(step, dropped): WORTH for step in range(half, 2 * half)}
    rows = np.concatenate([stream.rows[: 2 * half], again])
    return Stream(stream.split, stream.seed, stream.warm, rows, stream.budget, changed)


def shares(
    of: Setting, target: str, name: str, wanted: dict[float, tuple[float, float]], warm_share: float = 0.10
) -> list[Found]:
    """Quality at shares of what the best model costs; and the regret of a cold control (T5)."""
    if not of.has(name):
        return [Found(target, f"no {name} in the data", "see the documented form", None)]
    split = of.split(name)
    warm = int(warm_share * len(split.table))
    best = split.table.costs[:, int(np.argmax(split.table.rewards.mean(axis=0)))].mean()
    print(f"\n{target}: {len(split.table)} questions of {name}, {warm} labelled, {of.streamed(split, warm)} streamed")
    print(f"{'$ a question':>12} {'ours':16} used  {'':16}       mix     single  LinUCB  random  ceiling oracle")
    found = []
    for share, (least, above_mix) in wanted.items():
        budget = share * float(best)
        streams = [shuffled(split, s, warm, budget, of.streamed(split, warm)) for s in range(of.shuffles)]
        own, control = over(streams, product), over(streams, linucb)
        _line(streams, own, [])
        found += _shares_found(target, f"{share:.0%}", streams, own, control, (least, above_mix))
    return found


def _shares_found(
    target: str,
    label: str,
    streams: Sequence[Stream],
    own: Sequence[Run],
    control: Sequence[Run],
    wanted: tuple[float, float],
) -> list[Found]:
    budget, (least, above) = streams[0].budget, wanted
    quality = float(np.mean(qualities(own)))
    gain = quality - float(np.mean([baselines.static_mix(s) for s in streams]))
    top = [baselines.ceiling(s).quality for s in streams]
    regrets = [(c - a.quality, c - b.quality) for c, a, b in zip(top, own, control, strict=True)]
    ours, cold = np.mean(regrets, axis=0)
    share, of_best = ours / cold, quality / float(np.mean([baselines.best_of_all(s) for s in streams]))
    spent = used(own, budget)
    return [
        Found(
            target,
            f"{label}: {quality:.4f}, {of_best:.1%} of the best model, {100 * gain:+.2f} points above the mix, used {spent:.3f}",
            f"{least:.3f}, {100 * above:+.1f} above the mix",
            bool(quality >= least and gain >= above and spent <= 1.01),
        ),
        Found(
            "T5",
            f"{streams[0].split.table.name} {label}: regret to the ceiling {share:.0%} of cold LinUCB's ({ours:.4f} : {cold:.4f})",
            "at most 50 %",
            bool(share <= 0.5),
        ),
    ]


def t3(of: Setting) -> list[Found]:
    """RouterBench, which is not here: the same, from `routerbench/table.jsonl`."""
    return shares(of, "T3", "routerbench", {0.25: (0.808, 0.014), 0.50: (0.838, 0.014)})


def t4(of: Setting) -> list[Found]:
    """LLMRouter at a quarter and a half of the best model's cost."""
    return shares(of, "T4", "llmrouter", {0.25: (0.580, 0.02), 0.50: (0.602, 0.02)})


def t6(of: Setting) -> list[Found]:
    """The best model answers half as well in the middle third."""
    if not of.has("llmrouter"):
        return [Found("T6", "no llmrouter in the data", "drift", None)]
    split = of.split("llmrouter")
    warm = int(0.10 * len(split.table))
    means = split.table.rewards.mean(axis=0)
    best = int(np.argmax(means))
    budget = 0.5 * float(split.table.costs[:, best].mean())
    plain = [shuffled(split, s, warm, budget, of.streamed(split, warm)) for s in range(of.shuffles)]
    drifting = [drifted(stream, best, 0.45) for stream in plain]
    print(
        f"\nT6: {split.table.models[best]} answers 0.45 times as well in the middle third; half of its cost a question"
    )
    makers: dict[str, Callable[[Stream], Product]] = {
        "with a level": product,
        "without": lambda stream: product(stream, swing=1e9, restlessness=0.0),
    }
    runs = {name: over(drifting, make) for name, make in makers.items()}
    still = {name: np.mean(qualities(over(plain, make))) for name, make in makers.items()}
    parts = {name: [np.mean(_phase(of_, k, budget)[0]) for k in range(3)] for name, of_ in runs.items()}
    for name, (before, during, after) in parts.items():
        print(
            f"{name:14} before {before:.4f}  during {during:.4f}  after {after:.4f}   without any drift {still[name]:.4f}"
        )
    during = parts["with a level"][1] - parts["without"][1]
    back = parts["with a level"][2] - parts["with a level"][0]
    lost = still["without"] - still["with a level"]
    return [
        Found("T6", f"during {100 * during:+.2f} points against no level", "+1.5", bool(during >= 0.015)),
        Found("T6", f"after {100 * back:+.2f} points against before", "within 1", bool(back >= -0.01)),
        Found("T6", f"costs {100 * lost:+.2f} points where nothing drifts", "at most 0.6", bool(lost <= 0.006)),
    ]


def drifted(stream: Stream, model: int, factor: float) -> Stream:
    """The same questions, one model's answers worth less in the middle third."""
    third = len(stream.rows) // 3
    rewards = stream.split.table.rewards[stream.rows, model]
    changed = {(step, model): factor * float(rewards[step]) for step in range(third, 2 * third)}
    return Stream(stream.split, stream.seed, stream.warm, stream.rows, stream.budget, changed)


def t7(of: Setting) -> list[Found]:
    """One of two models is better at everything and cheaper: nothing is to be lost to it."""
    if not of.has("routerarena"):
        return [Found("T7", "no routerarena in the data", "negative control", None)]
    split = of.split("routerarena")
    warm = int(0.08 * len(split.table))
    several = 3 * of.shuffles
    streams = [shuffled(split, s, warm, NO_BUDGET, of.streamed(split, warm)) for s in range(several)]
    best = int(np.argmax(split.table.rewards.mean(axis=0)))
    print(
        f"\nT7: {split.table.models[best]} dominates; {warm} labelled, {len(streams[0].rows)} streamed, {several} shuffles"
    )
    gaps: dict[str, list[float]] = {}
    for name, make in (("ours", product), ("cold LinUCB", linucb)):
        runs = over(streams, make)
        gaps[name] = [_after(run, s, best) for run, s in zip(runs, streams, strict=True)]
        print(f"{name:12} {told([100 * gap for gap in gaps[name]])} points against always {split.table.models[best]}")
    gap = float(np.mean(gaps["ours"]))
    return [
        Found("T7", f"{100 * gap:+.2f} points after 300 questions", "within 1.0", gap >= -0.01),
        Found("T7", f"{100 * gap:+.2f} points after 300 questions", "within 0.3 with the guard", gap >= -0.003),
    ]


def _after(run: Run, stream: Stream, best: int, questions: int = 300) -> float:
    start = min(questions, len(stream.rows) // 2)
    always = replayed(stream, [best] * len(stream.rows)).rewards
    return float((run.rewards - always)[start:].mean())


TARGETS = {"T1": t1, "T2": t2, "T3": t3, "T4": t4, "T6": t6, "T7": t7}
