"""Install what the LightRAG tests need, under `.e2e/` in the checkout: `python -m tests.end_to_end.install`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from equipoise.sandbox.real.environment import Environment, InstallFailed

PLACE = Path(__file__).parents[2] / ".e2e"


def main() -> int:
    """Install unless it is there; 1 if that failed."""
    begun = time.monotonic()
    try:
        Environment(PLACE).install(print)
    except InstallFailed as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the real servers are installed ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
