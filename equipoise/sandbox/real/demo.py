"""`equipoise demo --real`: install, start, ingest, ask through the gateway, show, stop."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from equipoise.sandbox.real.environment import Environment, InstallFailed, default_directory
from equipoise.sandbox.real.gateway import RealGateway, Told
from equipoise.sandbox.real.processes import DidNotStart
from equipoise.sandbox.real.stack import Stack
from equipoise.sandbox.real.texts import Corpus, NoCorpus, read_corpus

WHAT_RUNS = """\
What is real here: a LightRAG server 1.5.7 with its graph and vector stores, word vectors (WordLlama), llama.cpp with
SmolLM2, and the Equipoise gateway, all on this machine, nothing sent anywhere. What is not: entities, relations and
keywords come from plain rules, since a model of 135 million parameters cannot extract them, and LightRAG's prompt is
shortened to passage and question before that model reads it. So trust the sources more than the wording: a model this
small errs. The price of 0.0005 USD per 1,000 tokens is an example; nothing is billed."""
INTERRUPTED = 130


def run_real_demo(
    corpus: Path | None, questions: int, json_output: bool, keep: bool, state_dir: Path | None
) -> int:  # fmt: skip
    """The demo with real software; 0 if every question was answered, 1 if not, 130 after Ctrl-C.

    Progress goes to stderr, answers (or one JSON document) to stdout. Software and logs are kept under `state_dir`
    (default: the user's cache directory), so that the next run starts at once; every process is stopped at the end.
    """
    signal.signal(signal.SIGTERM, interrupt)
    demo = RealDemo(state_dir or default_directory(), json_output=json_output)
    try:
        return demo.run(read_corpus(corpus), questions, keep=keep)
    except (InstallFailed, DidNotStart, NoCorpus, OSError, RuntimeError) as error:
        tell(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        tell("stopped")
        return INTERRUPTED


def interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def tell(text: str) -> None:
    """Progress, for people."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class RealDemo:
    """One run: its directory, its seconds by step, what was told."""

    def __init__(self, directory: Path, *, json_output: bool) -> None:
        self.environment = Environment(directory)
        self.json_output = json_output
        self.seconds: dict[str, float] = {}
        self.answers: list[Told] = []

    def run(self, corpus: Corpus, questions: int, *, keep: bool) -> int:
        """All steps in order, in a directory of their own that is left only after an error."""
        self.timed("install", self.install)
        directory = Path(tempfile.mkdtemp(prefix="run-", dir=self.environment.directory))
        try:
            code = self.on_stage(directory, corpus, questions, keep=keep)
        except KeyboardInterrupt:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        shutil.rmtree(directory, ignore_errors=True)
        return code

    def on_stage(self, directory: Path, corpus: Corpus, questions: int, *, keep: bool) -> int:
        """Start, ingest, ask; whatever happens, what was started is stopped. Logs stay in `directory` if it raises."""
        stack = Stack(self.environment, directory, real_model=True)
        gateway = RealGateway(stack, directory)
        tell(f"logs are in {stack.logs}")
        try:
            self.timed("start", lambda: stack.start(tell))
            self.timed("ingest", lambda: stack.ingest(corpus.texts, tell))
            gateway.child.start()
            gateway.child.wait_ready()
            tell(f"gateway answers on {gateway.address}\n\n{WHAT_RUNS}\n")
            self.timed("ask", lambda: self.ask_all(gateway, corpus.questions[: max(1, questions)]))
            self.ask_without_lightrag(stack, gateway, corpus.questions[0], keep=keep)
            self.report(corpus)
            if keep:
                wait_for_interrupt(gateway)
        finally:
            gateway.child.stop()
            stack.stop()
        return int(any(answer.failed for answer in self.answers))

    def install(self) -> None:
        if not self.environment.ready:
            tell(f"installing about 550 MB once, under {self.environment.directory}")
        self.environment.install(tell)

    def timed(self, step: str, action: Any) -> None:
        """Do one step and remember how long it took."""
        begun = time.monotonic()
        action()
        self.seconds[step] = round(time.monotonic() - begun, 2)
        tell(f"{step}: {self.seconds[step]:.1f} s")

    def ask_all(self, gateway: RealGateway, questions: list[str]) -> None:
        """One question after the other, every third one streamed."""
        for number, question in enumerate(questions, 1):
            self.note(gateway.ask(question, stream=number % 3 == 0))

    def ask_without_lightrag(self, stack: Stack, gateway: RealGateway, question: str, *, keep: bool) -> None:
        """The first question again with LightRAG killed: the gateway goes on with the small model, and says so."""
        if keep:
            return
        tell("Now the LightRAG server is killed and the first question is asked again.\n")
        stack.lightrag.kill()
        self.note(gateway.ask(question))

    def note(self, answer: Told) -> None:
        self.answers.append(answer)
        if not self.json_output:
            sys.stdout.write(shown(len(self.answers), answer))
            sys.stdout.flush()

    def report(self, corpus: Corpus) -> None:
        """The bill: as a line, or as a JSON document with everything."""
        cost = f"{sum(Decimal(answer.cost_usd) for answer in self.answers):.9f}"
        if not self.json_output:
            return tell(f"{len(self.answers)} questions, {cost} USD by the example price")
        document = {
            "questions": len(self.answers),
            "failed": sum(answer.failed for answer in self.answers),
            "texts": len(corpus.texts),
            "cost_usd": cost,
            "seconds": self.seconds,
            "answers": msgspec.to_builtins(self.answers),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return None


def shown(number: int, answer: Told) -> str:
    """One answer for people."""
    sources = "; ".join(f"[{place}] {name}" for place, name in enumerate(answer.sources, 1)) or "none"
    how = ", streamed" if answer.streamed else ""
    instead = f" instead of {answer.fallback_from}" if answer.fallback_from else ""
    lines = [
        f"{number}. {answer.question}",
        textwrap.indent(textwrap.fill(answer.text, 110), "   "),
        f"   sources: {sources}",
        f"   {answer.backend}{instead}, {answer.seconds:.1f} s{how}, {answer.cost_usd} USD ({answer.cost_source})",
        f"   why: {answer.reason}",
    ]
    return "\n".join(lines) + "\n\n"


def wait_for_interrupt(gateway: RealGateway) -> None:
    """Leave everything running until Ctrl-C, with a line to try."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "What is TMAO?"}]}'
    tell(f"\nRunning until Ctrl-C. Try:\n\n  curl {gateway.address}/v1/chat/completions -d '{body}'\n")
    while True:
        time.sleep(3600)
