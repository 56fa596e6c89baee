"""A transcript of the real stack over PubMedQA: `python -m bench.real.pubmedqa --data DIR --out FILE`.

Ingests the first abstracts of the labelled set into a real LightRAG server, asks the questions that were written for
them through the real gateway, and writes what came back, with the share of questions whose own abstract was cited.
The data is not part of the repository: DIR holds `pubmedqa/ori_pqal.json` (or `ori_pqal.json` itself).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from equipoise.sandbox.real.demo import WHAT_RUNS, shown, tell
from equipoise.sandbox.real.environment import Environment, default_directory
from equipoise.sandbox.real.gateway import RealGateway, Told
from equipoise.sandbox.real.stack import Stack


def main() -> int:
    """Run once; 2 if the data is absent, 1 if a question got no answer."""
    arguments = parsed()
    places = (arguments.data / "pubmedqa" / "ori_pqal.json", arguments.data / "ori_pqal.json")
    data = next((place for place in places if place.is_file()), None)
    if data is None:
        tell(f"no ori_pqal.json in {arguments.data}: this needs the labelled part of PubMedQA")
        return 2
    papers = dict(list(json.loads(data.read_text()).items())[: arguments.texts])
    answers, seconds = measured(papers, arguments.questions, arguments.state_dir or default_directory())
    arguments.out.write_text(transcript(papers, answers, seconds))
    tell(f"written to {arguments.out}")
    return int(any(answer.failed for answer in answers))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=50)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--state-dir", type=Path)
    return parser.parse_args()


def file_name(paper: str) -> str:
    return f"pubmed-{paper}.txt"


def measured(papers: dict[str, Any], questions: int, place: Path) -> tuple[list[Told], dict[str, float]]:
    """Start, ingest, ask, stop; the answers and the seconds of each step."""
    seconds = dict[str, float]()
    environment = Environment(place)
    timed(seconds, "install", lambda: environment.install(tell))
    directory = Path(tempfile.mkdtemp(prefix="pubmedqa-", dir=environment.directory))
    stack = Stack(environment, directory, real_model=True)
    gateway = RealGateway(stack, directory)
    try:
        timed(seconds, "start", lambda: stack.start(tell))
        texts = {file_name(paper): " ".join(found["CONTEXTS"]) for paper, found in papers.items()}
        timed(seconds, "ingest", lambda: stack.ingest(texts, tell))
        gateway.child.start()
        gateway.child.wait_ready()
        answers = list[Told]()
        asked = [found["QUESTION"] for found in papers.values()][:questions]
        timed(seconds, "ask", lambda: answers.extend(ask_all(gateway, asked)))
    finally:
        gateway.child.stop()
        stack.stop()
    return answers, seconds


def timed(seconds: dict[str, float], step: str, action: Callable[[], Any]) -> None:
    begun = time.monotonic()
    action()
    seconds[step] = time.monotonic() - begun
    tell(f"{step}: {seconds[step]:.1f} s")


def ask_all(gateway: RealGateway, questions: list[str]) -> list[Told]:
    """One after the other, every third one streamed."""
    return [gateway.ask(question, stream=number % 3 == 2) for number, question in enumerate(questions)]


def transcript(papers: dict[str, Any], answers: list[Told], seconds: dict[str, float]) -> str:
    """The whole run for people."""
    right = [file_name(paper) in answer.sources for paper, answer in zip(papers, answers, strict=False)]
    cost = f"{sum(Decimal(answer.cost_usd) for answer in answers):.9f}"
    each = sorted(answer.seconds for answer in answers)
    head = [
        f"{len(papers)} abstracts of PubMedQA (labelled), {len(answers)} of the questions written for them.",
        "Seconds: " + ", ".join(f"{step} {taken:.1f}" for step, taken in seconds.items()),
        f"Answered: {sum(not answer.failed for answer in answers)} of {len(answers)};"
        f" seconds a question: median {each[len(each) // 2]:.1f}, longest {each[-1]:.1f}.",
        f"Cites the abstract the question was written for: {sum(right)} of {len(answers)}. Cost by the example price: {cost} USD.",
        "",
        WHAT_RUNS,
        "",
    ]
    return "\n".join(head) + "\n" + "".join(shown(number, answer) for number, answer in enumerate(answers, 1))


if __name__ == "__main__":
    sys.exit(main())
