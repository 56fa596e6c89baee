"""Coverage-guided fuzzing of the HTTP parsers with atheris.

    python -m tests.fuzz.run requests --executions 4000000 --corpus /tmp/corpus
    python -m tests.fuzz.run all --executions 10000000

Every execution hands one input to the target whole and again in pieces (see targets.py). Prints how many executions ran
and how fast; ends with a failure and the input that caused it at the first broken promise. Needs `pip install atheris`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARES = {"requests": 0.3, "responses": 0.2, "chunks": 0.5}


def fuzz(target: str, executions: int, corpus: Path) -> None:
    """Fuzz one target in this process; atheris ends the process itself."""
    import atheris

    with atheris.instrument_imports(include=["equipoise.http"]):
        from tests.fuzz import seeds, targets
    check = targets.TARGETS[target]
    for number, seed in enumerate(seeds.SEEDS[target]):
        (corpus / f"seed-{number}").write_bytes(seed)
    dictionary = corpus.parent / "words.dict"
    dictionary.write_text("".join(f'"{escaped(word)}"\n' for word in seeds.WORDS))

    def one(data: bytes) -> None:
        check(data, sum(data[:16]) + len(data))

    options = [
        f"-runs={executions}",
        f"-dict={dictionary}",
        "-max_len=600",
        "-timeout=300",
        f"-artifact_prefix={corpus.parent}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


def escaped(word: bytes) -> str:
    """A word as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in word)


def run(target: str, executions: int) -> int:
    """Fuzz one target in a child; returns the number of executions that libFuzzer counted."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            target,
            "--child",
            str(corpus),
            "--executions",
            str(executions),
        ]
        started = time.monotonic()
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - started
    if child.returncode != 0:
        sys.exit(f"{target}: broken promise\n{child.stdout[:4000]}\n{child.stderr[-1000:]}")
    counted = re.search(r"number_of_executed_units: (\d+)", child.stdout + child.stderr)
    covered = re.findall(r"cov: (\d+)", child.stdout + child.stderr)
    done = int(counted[1]) if counted else 0
    print(
        f"{target}: {done} executions in {seconds:.0f} s, coverage {covered[-1] if covered else '?'}, nothing found",
        flush=True,
    )
    return done


def main() -> None:
    """Read the command line; `all` divides the executions among the targets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", default="all", choices=[*SHARES, "all"])
    parser.add_argument("--executions", type=int, default=10_000_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        fuzz(options.target, options.executions, options.child)
        return
    shares = SHARES if options.target == "all" else {options.target: 1.0}
    total = sum(run(target, int(options.executions * share)) for target, share in shares.items())
    print(f"total: {total} executions")


if __name__ == "__main__":
    main()
