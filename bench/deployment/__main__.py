"""Write what of `deploy/kustomize` is made from the chart: `python -m bench.deployment` (installs Helm, about 10 s once)."""

from __future__ import annotations

import sys

from bench.deployment.kustomize import manifests
from bench.deployment.tools import ROOT, install


def main() -> int:
    """The exit code."""
    install()
    for name, text in manifests().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text, "utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
