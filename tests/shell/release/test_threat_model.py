"""The threat model is shown by tests that exist."""

from __future__ import annotations

import ast
import re

import pytest

from bench.release.lock import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
ROWS = [line for line in PAGE.partition("## Threats")[2].partition("\n## ")[0].splitlines() if line.startswith("| ")][
    2:
]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_threat_names_who_what_stops_them_and_a_test(row: str) -> None:
    """No line without proof."""
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert len(cells) == 4
    assert all(cells)
    assert re.fullmatch(r"`tests/[\w/]+\.py::test_\w+`(, `tests/[\w/]+\.py::test_\w+`)*", cells[3])


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    """And is one: a function that asserts something, or expects an error."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    (found,) = [node for node in functions if node.name == name]
    shows = [node for node in ast.walk(found) if isinstance(node, ast.Assert) or "raises" in ast.dump(node)]
    assert shows


@pytest.mark.parametrize(
    "word",
    ["SSRF", "header smuggling", "key confusion", "cache poisoning", "decompression", "JSON bombs", "log injection", "timing",
     "CSRF", "terminal escapes", "unbounded labels", "open listener"],
)  # fmt: skip
def test_the_known_kinds_of_attack_are_among_them(word: str) -> None:
    """None is forgotten."""
    assert any(word.lower() in row.lower() for row in ROWS)
