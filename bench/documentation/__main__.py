"""Write the reference pages; with --check, only say which are stale and exit 1."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.documentation.pages import pages

ROOT = Path(__file__).parents[2]


def stale() -> list[Path]:
    """The pages that differ from what the code says now."""
    made = {ROOT / path: text for path, text in pages().items()}
    return [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]


def main() -> int:
    """The exit code."""
    if "--check" in sys.argv[1:]:
        for path in stale():
            print(f"stale: {path.relative_to(ROOT)}")
        return 1 if stale() else 0
    for name, text in pages().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
