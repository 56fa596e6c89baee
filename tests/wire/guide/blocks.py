"""A Markdown page as its fenced blocks, and console blocks as commands with the output they promise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
GUIDE = ROOT / "PRODUCTION_LOAD_BALANCER_INTEGRATION_GUIDE.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROMPT, CONTINUED, ANYTHING = "$ ", "\\", "…"


class Block(NamedTuple):
    """A fenced block, where it begins, and the file its first line names, if it does."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """`# equipoise.yaml` on the first line says that the reader saves the block under this name."""
        named = re.match(r"# ([\w.]+)\n", self.text)
        return named[1] if named else None


class Command(NamedTuple):
    """One command of a console block, what it promises to print (empty: nothing is promised), and its line."""

    text: str
    printed: str
    line: int


def blocks(page: Path = GUIDE) -> list[Block]:
    """All fenced blocks in order."""
    text = page.read_text()
    return [Block(f[1], f[2], text.count("\n", 0, f.start()) + 1) for f in FENCE.finditer(text)]


def commands(block: Block) -> list[Command]:
    """The commands of a console block: each begins with `$ `, may go on behind a backslash, and is followed by output."""
    found: list[tuple[list[str], list[str], int]] = []
    for number, line in enumerate(block.text.splitlines(), start=block.line + 1):
        if line.startswith(PROMPT):
            found.append(([line.removeprefix(PROMPT)], [], number))
        elif not found[-1][1] and found[-1][0][-1].endswith(CONTINUED):
            found[-1][0].append(line)
        else:
            found[-1][1].append(line)
    return [Command("\n".join(text), "\n".join(printed), number) for text, printed, number in found]


def agrees(printed: str, promised: str) -> bool:
    """Was printed what was promised? `…` stands for anything, alone on a line for any lines; blanks count as one."""
    return re.fullmatch(_pattern(promised), printed.rstrip() + "\n") is not None


def _pattern(promised: str) -> str:
    return "".join(r"(?:.*\n)*?" if line == ANYTHING else _line(line) for line in promised.splitlines())


def _line(line: str) -> str:
    parts = (r"[ ]+".join(map(re.escape, part.split(" "))) for part in re.sub(" +", " ", line).split(ANYTHING))
    return r".*?".join(parts) + r"\n"
