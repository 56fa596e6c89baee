"""The protocol, from end to end: prints a table a target, then what was promised and what was found.

Parameters were chosen on `--part tune`; what is reported is the other half. `--quick` takes fewer shuffles and questions.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from bench.routing.features import describer
from bench.routing.others import OTHERS
from bench.routing.setting import Setting
from bench.routing.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds paretobandit/, llmrouter/ ...")
    parser.add_argument("--quick", action="store_true", help="under a minute: to see that it runs, not to quote")
    parser.add_argument("--part", choices=("report", "tune"), default="report")
    parser.add_argument("--only", default="", help="targets, separated by commas: T1,T4")
    parser.add_argument("--shuffles", type=int, default=0, help="default 8; 2 with --quick")
    parser.add_argument("--no-peer", action="store_true", help="leave paretobandit out")
    parser.add_argument("--no-embedding", action="store_true", help="hand-made features only")
    of = parser.parse_args()
    described, embedded = describer(embedding=not of.no_embedding)
    print(f"features: 13 hand-made, kinds of question, {'16 of a static embedding' if embedded else 'no embedding'}")
    setting = Setting(
        of.data, described, of.part, of.shuffles or (2 if of.quick else 8), not (of.no_peer or of.quick), of.quick
    )
    targets = {**TARGETS, **OTHERS}
    wanted = [name for name in targets if not of.only or name in of.only.split(",")]
    found, began = [], time.monotonic()
    for name in wanted:
        found += targets[name](setting)
        print(f"({name}: {time.monotonic() - began:.0f} s since the start)", flush=True)
    print(f"\nWhat was promised, on the part to {of.part}, {setting.shuffles} shuffles:")
    for line in found:
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
