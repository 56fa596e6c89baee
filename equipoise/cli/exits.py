"""What the exit code of a command says, and the way a command fails."""

from __future__ import annotations

OK = 0
PROBLEMS = 1
"""A check found problems; an answer could not be had."""
USAGE = 2
"""The command line or the configuration is wrong, or a file cannot be read or written."""
UNREACHABLE = 3
"""No gateway answers there."""
REFUSED = 4
"""A guard refused: --yes, --force or --insecure would be needed."""
INTERRUPTED = 130
"""Ctrl-C."""


class Failure(Exception):
    """Ends a command with a code and a message for people."""

    def __init__(self, message: str, code: int = PROBLEMS, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.hint = code, hint

    def __str__(self) -> str:
        return f"{self.args[0]}\n  hint: {self.hint}" if self.hint else str(self.args[0])
