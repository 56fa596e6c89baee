"""The rules of the house that no linter knows."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HARD_STOP = 400
BANNED_NAMES = {"utils.py", "helpers.py", "common.py", "misc.py"}
SOURCES = sorted((ROOT / "equipoise").rglob("*.py"))
ALL = SOURCES + sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "bench").rglob("*.py"))


def test_every_file_is_one_room() -> None:
    """No file has more than 400 lines, and none is a drawer for everything."""
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in ALL}
    assert {name: size for name, size in sizes.items() if size > HARD_STOP} == {}
    assert [path for path in ALL if path.name in BANNED_NAMES] == []


def test_no_error_is_swallowed_wholesale() -> None:
    """`except Exception` and bare `except:` stand nowhere in the product."""
    swallowing = re.compile(r"^\s*except\s*(Exception\b.*)?:", re.MULTILINE)
    assert [str(path) for path in SOURCES if swallowing.search(path.read_text())] == []


def test_every_module_says_what_it_is() -> None:
    """Each file of the product begins with a docstring."""
    assert [str(path) for path in SOURCES if path.stat().st_size and not path.read_text().startswith('"""')] == []


def test_the_lock_names_no_index() -> None:
    """Hashed requirements carry names, versions and hashes, no addresses."""
    for name in ("runtime.txt", "dev.txt", "fuzz.txt"):
        text = (ROOT / "requirements" / name).read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text


def test_no_local_state_is_committed() -> None:
    """Databases, environments and keys stay out of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.fail(f"git ls-files said: {listed.stderr}")
    assert [
        name for name in listed.stdout.splitlines() if re.search(r"(^|/)\.env$|\.db$|\.sqlite3?$|\.venv/", name)
    ] == []
