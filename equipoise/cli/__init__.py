"""The command line. Importing this imports no command: each is loaded when it is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (see `equipoise.cli.exits`)."""
    # Our matrices are small: the threads of a linear algebra library would only wait for each other, up to seconds
    # on busy cores, and every question with them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from equipoise.cli.app import run

    try:
        return run(list(sys.argv[1:] if arguments is None else arguments))
    except BrokenPipeError:
        # Whoever read our output has had enough (`equipoise ... | head`); the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


__all__ = ["main"]
