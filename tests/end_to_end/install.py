"""Install what the end-to-end tests need: `python -m tests.end_to_end.install`.

LightRAG and the small model go under `.e2e/` in the checkout; servers and load generators are Debian's packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.chaos import envoy
from bench.deployment import tools
from equipoise.sandbox.real.environment import Environment, InstallFailed
from tests.end_to_end.cache import extra
from tests.end_to_end.dashboard import axe
from tests.end_to_end.http.servers import PACKAGES, SEARCH_PATH

PLACE = Path(__file__).parents[2] / ".e2e"


def debian_packages() -> None:
    """Install the packages whose programs are missing. Raises InstallFailed where this user cannot."""
    missing = sorted({package for name, package in PACKAGES.items() if shutil.which(name, path=SEARCH_PATH) is None})
    if not missing:
        return
    print(f"installing {', '.join(missing)}")
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise InstallFailed(f"these need root and apt-get: apt-get install {' '.join(missing)}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-qq", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise InstallFailed(f"apt-get {arguments[0]} failed: {done.stderr[-2000:]}")


def main() -> int:
    """Install unless it is there; 1 if that failed."""
    begun = time.monotonic()
    try:
        debian_packages()
        Environment(PLACE).install(print)
        envoy.install(PLACE / "envoy")
        axe.install()
        extra.install()
        tools.install()
    except (InstallFailed, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"the real servers are installed ({time.monotonic() - begun:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
