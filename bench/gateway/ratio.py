"""The gateway against haproxy on the measuring bench, in one interleaved run: `python -m bench.gateway.ratio --perf DIR`.

DIR holds the bench (bench.py, mock.c, lg.c, peers/haproxy.cfg). All that is on by default is on: a key, ledger, breakers,
metrics, access log (written to a file). `--body big` sends 70 KB prompts. The bare relay of bench/http stands apart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEY = "sk-bench-0123456789abcdef"
CONFIG = """
backend_instances:
{backends}
strategy: performance_based
state_dir: {state}
aliases: {{gpt-mock: auto}}
keys: {{bench: {key}}}
"""
BACKEND = """  mock{n}:
    backend_type: openai_direct
    endpoint_url: http://127.0.0.1:900{n}/v1
    api_key: sk-mock
    model: gpt-mock
    max_requests_per_minute: 100000000
    price: {{input: 0.15, output: 0.60}}
"""


def main() -> int:
    """Run the bench's `ratio` with the gateway as the second party; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--perf", type=Path, required=True, help="the measuring bench")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--rounds", default="3")
    parser.add_argument("--phases", default="ns0,ns50,st,lat,rss")
    parser.add_argument("--body", choices=("small", "big"), default="small")
    parser.add_argument("--server", choices=("own", "uvicorn"), default="own")
    parser.add_argument("--bare", action="store_true", help="the relay without the gateway")
    chosen = parser.parse_args()
    bench = chosen.perf.resolve() / "bench.py"
    if not bench.exists():
        print(f"no measuring bench at {chosen.perf}: nothing was measured", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        command = _bare(chosen.port) if chosen.bare else gateway_command(Path(folder), chosen.port, chosen.server)
        options = ["ratio", "--port", str(chosen.port), "--rounds", chosen.rounds, "--phases", chosen.phases]
        key = [] if chosen.bare else ["--header", f"Authorization: Bearer {KEY}"]
        environment = dict(os.environ)
        if chosen.body == "big":
            environment["BENCH_BODY"] = str(bench.parent / "body_big.json")
        return subprocess.run(
            [sys.executable, bench, *options, *key, "--", *command], env=environment, check=False
        ).returncode


def gateway_command(folder: Path, port: int, server: str) -> list[str]:
    """What serves; its configuration is written into the folder."""
    config = folder / "bench.yaml"
    backends = "".join(BACKEND.format(n=n) for n in (1, 2, 3))
    config.write_text(CONFIG.format(backends=backends, state=folder / "state", key=KEY))
    return [sys.executable, "-m", "equipoise", "serve", "-c", str(config), "--port", str(port), "--server", server]


def _bare(port: int) -> list[str]:
    return [sys.executable, "-m", "bench.http.relay", "--port", str(port), "--upstream", "http://127.0.0.1:9001"]


if __name__ == "__main__":
    sys.exit(main())
