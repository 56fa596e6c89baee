"""`equipoise prices` says what counts, by whose word, and where that differs from what is published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from equipoise.cli import main

CONFIGURATION = """\
backend_instances:
  web:
    backend_type: perplexity
    cost_per_1k_tokens: 0.2
  chat:
    backend_type: openai_direct
    model: gpt-4o-mini
    price: {input: 0.3, output: 0.6}
  strange:
    backend_type: openai_direct
    endpoint_url: https://llm.example/v1
    model: somebody
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "equipoise.yaml"
    path.write_text(CONFIGURATION)
    return str(path)


def test_every_backend_has_a_price_or_is_said_to_have_none(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows in the order of the file, with the source and an expected cost; the unknown one is unknown, not free."""
    assert main(["prices", "ls", "-c", file, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["backend"], row["source"], row["example"]) for row in rows] == [
        ("web", "overlay", "0.006000000"),
        ("chat", "price", "0.000480000"),
        ("strange", "unknown", None),
    ]
    assert main(["prices", "ls", "-c", file]) == 0
    told = capsys.readouterr()
    assert "strange: nobody knows its price" in told.err
    assert "0.0625" in told.out


def test_one_backend_shows_every_source_and_which_counts(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The overlay before the list, whose search fee is lower, before the flat rate."""
    assert main(["prices", "show", "web", "-c", file, "--json"]) == 0
    sources = json.loads(capsys.readouterr().out)["sources"]
    assert [(each["source"], each["counts"]) for each in sources] == [
        ("overlay", True),
        ("genai-prices", False),
        ("cost_per_1k_tokens", False),
    ]
    assert main(["prices", "show", "strange", "-c", file]) == 0
    assert "nobody knows its price" in capsys.readouterr().out
    assert main(["prices", "show", "nobody", "-c", file]) == 2


def test_a_price_that_differs_from_the_published_one_is_a_finding(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twice the list's price for input: exit code 1, and by how much."""
    assert main(["prices", "diff", "-c", file, "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert {"backend": "chat", "field": "input", "counts": "0.3", "by": "price", "published": "0.15",
            "according_to": "genai-prices", "times": 2.0} in rows  # fmt: skip
    assert main(["prices", "diff", "-c", file]) == 1
    assert "genai-prices" in capsys.readouterr().out
