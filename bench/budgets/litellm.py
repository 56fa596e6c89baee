"""The hammer's questions and upstream on LiteLLM's proxy, with a budget of the kind it keeps without a database or Redis.

    python -m venv DIR && DIR/bin/pip install 'litellm[proxy]'
    python -m bench.budgets.litellm DIR/bin/litellm

`provider_budget_config` is that budget; with several workers each keeps its own, so one is its best case. Told is what the
upstream billed, which is the only truth. Nothing is asserted: it is another's product, and it may have become better.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from bench.budgets.hammer import MOST_TOKENS, PER_TOKEN, Upstream
from equipoise.core.model import dollars
from equipoise.http import HTTPError, Pool, PoolLimits, Server, Timeouts

PATIENCE = Timeouts(connect=10.0, first_byte=60.0, between_bytes=60.0)
READY_SECONDS = 120.0


def configuration(folder: Path, upstream: int, cap: float, key: str) -> Path:
    """One model at the upstream's price, and a budget for its provider."""
    price = {"input_cost_per_token": 0, "output_cost_per_token": PER_TOKEN / 1e9}
    model = {"model": "openai/m", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "x", **price}
    said = {
        "model_list": [{"model_name": "m", "litellm_params": model, "model_info": price}],
        "litellm_settings": {"num_retries": 0},
        "router_settings": {"provider_budget_config": {"openai": {"budget_limit": cap, "time_period": "1d"}}},
        "general_settings": {"master_key": key},
    }
    file = folder / "config.yaml"
    file.write_text(json.dumps(said))  # which is YAML too
    return file


async def ready(url: str) -> None:
    """Wait until it is alive. Raises TimeoutError."""
    pool = Pool(url, limits=PoolLimits(connections=1))
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                with suppress(HTTPError):
                    response = await pool.request("GET", "/health/liveliness", headers=[], body=b"", timeouts=PATIENCE)
                    await response.read()
                    if response.status == 200:
                        return
                await asyncio.sleep(0.5)
    finally:
        await pool.close()


async def caller(url: str, key: str, until: float, answers: Counter[str]) -> None:
    """Asks again as soon as it was answered, until it was refused three times."""
    headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {key}".encode())]
    body = json.dumps(
        {"model": "m", "max_tokens": MOST_TOKENS, "messages": [{"role": "user", "content": "?"}]}
    ).encode()
    pool, refused = Pool(url, limits=PoolLimits(connections=1)), 0
    try:
        while time.monotonic() < until and refused < 3:
            response = await pool.request("POST", "/v1/chat/completions", headers=headers, body=body, timeouts=PATIENCE)
            await response.read()
            answers[str(response.status)] += 1
            if response.status != 200:
                refused += 1
                await asyncio.sleep(0.2)
    except HTTPError:
        answers["lost"] += 1
    finally:
        await pool.close()


async def run(said: argparse.Namespace, folder: Path) -> tuple[int, Counter[str]]:
    """Start it, ask until the budget is gone, stop it; gives what was billed and the answers by status."""
    upstream, answers, key = Upstream(), Counter[str](), f"sk-{secrets.token_hex(16)}"
    server = Server(upstream.handle)
    await server.start("127.0.0.1", 0)
    file, url = configuration(folder, server.port, said.cap, key), f"http://127.0.0.1:{said.port}"
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    command = [said.litellm, "--config", str(file), "--host", "127.0.0.1", "--port", str(said.port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--num_workers", str(said.workers)], stdout=log, stderr=log, env=environ, cwd=folder
        )
        try:
            await ready(url)
            until = time.monotonic() + said.seconds
            await asyncio.gather(*(caller(url, key, until, answers) for _ in range(said.callers)))
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 30)
    await server.drain(1.0)
    return upstream.billed, answers


def main(arguments: list[str] | None = None) -> int:
    """What was billed, of which cap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("litellm", help="its command, in an environment of its own")
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--cap", type=float, default=1.0, help="dollars")
    parser.add_argument("--seconds", type=float, default=90.0, help="at most")
    parser.add_argument("--port", type=int, default=18_446)
    said = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        billed, answers = asyncio.run(run(said, Path(folder)))
    print(
        f"cap ${said.cap}; billed by the upstream ${dollars(billed)} ({billed / said.cap / 1e9:.1%}); {dict(answers)}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
