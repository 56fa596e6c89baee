"""Do questions reach an engine that can answer them? `python -m bench.engines --data DIR`

Three hundred questions of three kinds: about papers that a real LightRAG server has indexed (PubMedQA's abstracts, read
from DIR), about invented news that only a scripted web engine can look up, and about what every model knows. First some
other questions are put to each engine and checked (a warm start by labels), then the three hundred come in random order
by the route `auto`, which escalates; one answer in five is checked by its caller and the result posted as feedback. Once
under `cost_optimized` (the cheapest that is good enough, checked and escalated), once under `adaptive_learning`, each with
a gateway that knows nothing yet. Compared with the same questions all sent to the default, the web engine, which can
answer everything at the highest price.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

from bench.engines.house import House, Told
from bench.engines.questions import KINDS, Asked, corpus, file_of, fresh, general, is_right, papers_in
from equipoise.sandbox.real.demo import tell
from equipoise.sandbox.real.environment import Environment, default_directory

STRATEGIES = ("cost_optimized", "adaptive_learning")
ENGINES = ("papers", "web", "llm")
ABLE = {"corpus": {"papers", "web"}, "fresh": {"web"}, "general": {"llm", "web"}}
REFUSES = ("context says nothing", "no-context", "not able to provide an answer", "access to current information")
WHAT_IS_REAL = """\
Real: a LightRAG server 1.5.7 with its vector store over {papers} abstracts of PubMedQA, word vectors (WordLlama), and the
gateway, all on this machine. Scripted: the model behind LightRAG quotes the passage's sentence nearest to the question or
says that the context says nothing; the web engine finds everything and bills 0.006 USD; {llm}.
Prices are examples; the news are invented."""
LLM = {
    False: "the plain model knows the general facts and has\nvague words or an excuse for the rest (--real-llm asks SmolLM2-135M instead)",
    True: "the plain model is real, SmolLM2-135M,\nwhich errs on a quarter of the general questions",
}


def main() -> int:
    """Run once; 0 when all targets are reached, 1 if not, 2 without data."""
    arguments = parsed()
    papers = papers_in(arguments.data)
    if papers is None:
        tell(f"no pubmedqa/ori_pqal.json in {arguments.data}: this needs the labelled part of PubMedQA")
        return 2
    chance = random.Random(arguments.seed)
    own = dict(list(papers.items())[: arguments.each + arguments.warm])
    kinds = {"corpus": corpus(own), "fresh": fresh(chance), "general": general()}
    for questions in kinds.values():
        chance.shuffle(questions)
    warm = [asked for kind in KINDS for asked in kinds[kind][: arguments.warm]]
    chance.shuffle(warm)  # in blocks of a kind a graph would look as if it had fallen silent
    asked = [asked for kind in KINDS for asked in kinds[kind][arguments.warm :][: arguments.each]]
    chance.shuffle(asked)
    texts = {file_of(name): " ".join(paper["CONTEXTS"]) for name, paper in own.items()}
    known = [each for questions in kinds.values() for each in questions]
    default, routed, seconds = measured(arguments, texts, known, warm, asked)
    print(WHAT_IS_REAL.format(papers=len(texts), llm=LLM[arguments.real_llm]))
    print(f"{len(warm)} other questions, {arguments.warm} of each kind, were put to every engine first.")
    print("Seconds: " + ", ".join(f"{step} {taken:.0f}" for step, taken in seconds.items()))
    reached = [name for name, told in routed.items() if report(name, default, told)]
    print(f"\nAll targets reached by: {', '.join(reached) or 'none'}")
    return int(not reached)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--each", type=int, default=100, help="questions of each kind")
    parser.add_argument(
        "--warm", type=int, default=24, help="labelled questions of each kind, put to every engine first"
    )
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    parser.add_argument("--real-llm", action="store_true", help="SmolLM2-135M as the plain model")
    parser.add_argument("--state-dir", type=Path)
    return parser.parse_args()


def measured(
    arguments: argparse.Namespace, texts: dict[str, str], known: list[Asked], warm: list[Asked], asked: list[Asked]
) -> tuple[list[Told], dict[str, list[Told]], dict[str, float]]:
    """Start; for each strategy warm up and ask all by the route; ask all of the default; stop."""
    seconds: dict[str, float] = {}
    environment = Environment(arguments.state_dir or default_directory())
    environment.install(tell)
    with tempfile.TemporaryDirectory(prefix="engines-", dir=environment.directory) as directory:
        house = House(environment, Path(directory), known, real_llm=arguments.real_llm)
        try:
            timed(seconds, "start and ingest", lambda: house.start(texts, tell))
            routed = {
                name: timed(seconds, name, partial(under, house, name, warm, asked)) for name in arguments.strategies
            }
            default = timed(seconds, "default", lambda: all_of(lambda each: house.ask(each, "web"), asked))
        finally:
            house.stop()
    return default, routed, seconds


def under(house: House, strategy: str, warm: list[Asked], asked: list[Asked]) -> list[Told]:
    """All by the route, under one strategy, after its warm start."""
    house.go_by(strategy)
    warmed(house, warm)
    return live(house, asked)


def timed(seconds: dict[str, float], step: str, action: Callable[[], list[Told] | None]) -> list[Told]:
    began = time.monotonic()
    found = action() or []
    seconds[step] = time.monotonic() - began
    tell(f"{step}: {seconds[step]:.0f} s")
    return found


def all_of(ask: Callable[[Asked], Told], asked: Sequence[Asked]) -> list[Told]:
    """Two at a time, in order."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(ask, asked))


def warmed(house: House, warm: list[Asked]) -> None:
    """Each question to each engine, with what it was worth."""
    for engine in ENGINES:
        for told in all_of(lambda each, engine=engine: house.ask(each, engine), warm):  # type: ignore[misc]
            rate(house, told)


def rate(house: House, told: Told) -> None:
    if told.status == 200:
        status = house.rate(told, float(right(told)))
        if status != 200:
            raise RuntimeError(f"feedback was answered with {status}")


def live(house: House, asked: list[Asked]) -> list[Told]:
    """By the route, one in five checked by its caller afterwards."""

    def one(numbered: tuple[int, Asked]) -> Told:
        told = house.ask(numbered[1])
        if numbered[0] % 5 == 0:
            rate(house, told)
        return told

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, enumerate(asked)))


def right(told: Told) -> bool:
    return told.status == 200 and is_right(told.asked, told.text, told.sources)


def refused(told: Told) -> bool:
    """An answer that says that it has none."""
    return told.status != 200 or any(words in told.text for words in REFUSES)


def report(name: str, default: list[Told], routed: list[Told]) -> bool:
    """Print the table; returns whether all targets were reached."""
    print(f"\n=== {name}")
    print(
        f"\n{'kind':<9}{'asked':>6}{'able engine':>13}{'right':>8}{'default right':>15}{'USD/1000':>10}{'default':>9}   went to"
    )
    for kind in (*KINDS, "all"):
        print(
            line(kind, *([told for told in these if kind in ("all", told.asked.kind)] for these in (routed, default)))
        )
    reached = sum(told.backend in ABLE[told.asked.kind] for told in routed) / len(routed)
    silent = sum(map(refused, routed))
    quality, before = (sum(map(right, these)) / len(these) for these in (routed, default))
    saved = 1 - float(cost(routed) / cost(default))
    print(f"\n  {sum(told.escalated for told in routed)} answers were escalated\n")
    targets = [
        ("reach an engine that can answer", f"{reached:.1%}", ">= 90 %", reached >= 0.9),
        ('"no context" delivered', str(silent), "0", silent == 0),
        (
            "right answers, of the default's",
            f"{quality:.1%} of {before:.1%}",
            "the same (-2 pp)",
            quality >= before - 0.02,
        ),
        ("cost saved", f"{saved:.1%}", ">= 25 %", saved >= 0.25),
    ]
    for what, value, target, good in targets:
        print(f"  {what:<36}{value:>18}   {target:<18}{'reached' if good else 'MISSED'}")
    return all(good for *_, good in targets)


def line(kind: str, routed: list[Told], default: list[Told]) -> str:
    able = sum(told.backend in ABLE[told.asked.kind] for told in routed)
    went = Counter(told.backend for told in routed)
    per_thousand = [float(cost(these)) / len(these) * 1000 for these in (routed, default)]
    return (
        f"{kind:<9}{len(routed):>6}{able / len(routed):>13.1%}{sum(map(right, routed)) / len(routed):>8.1%}"
        f"{sum(map(right, default)) / len(default):>15.1%}{per_thousand[0]:>10.2f}{per_thousand[1]:>9.2f}   "
        + ", ".join(f"{name} {count}" for name, count in went.most_common())
    )


def cost(these: list[Told]) -> Decimal:
    return sum((told.cost for told in these), Decimal(0))


if __name__ == "__main__":
    sys.exit(main())
