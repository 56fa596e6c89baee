"""`equipoise loadtest`"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

from equipoise.cli.exits import OK, PROBLEMS, UNREACHABLE, USAGE, Failure
from equipoise.cli.load_report import failed_gates, lines, summary
from equipoise.cli.loading import QUESTIONS, Load, Plan
from equipoise.cli.output import QUIET, Output, as_documents, remark, say
from equipoise.cli.remote import GATEWAY
from equipoise.http import HTTPError, Pool, Timeouts

BAR = 30
MOST = 2_000_000


def loadtest(
    *,
    rate: float = 50.0,
    duration: float = 10.0,
    streams: float = 0.0,
    url: str | None = None,
    model: str = "auto",
    question: list[str] | None = None,
    poisson: bool = False,
    timeout: float = 60.0,
    max_errors: float | None = None,
    max_p99: float | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Ask a gateway, or any OpenAI-compatible server, at a fixed rate, and say how it did.

    An open loop: a question is sent when its time has come, whatever became of those before, and its response time runs
    from that instant. Every question is a real one: upstreams that cost money cost it. Exit code 1 when --max-errors
    or --max-p99 is exceeded.

    Parameters
    ----------
    rate: float
        Questions a second.
    duration: float
        Seconds.
    streams: float
        Share of the questions that are streamed, 0 to 1.
    url: str
        Whom to ask; otherwise EQUIPOISE_URL, or http://127.0.0.1:4000. EQUIPOISE_API_KEY is shown there.
    model: str
        The model to ask for.
    question: list[str]
        What to ask, in turn; otherwise four questions on metabolomics.
    poisson: bool
        Send as strangers do, at random, instead of at equal distances.
    timeout: float
        Seconds a question may take before it counts as failed.
    max_errors: float
        Percent of the questions that may fail.
    max_p99: float
        Milliseconds that 99 in 100 answers must not exceed.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    target = url or os.environ.get("EQUIPOISE_URL") or GATEWAY
    plan = planned(
        Plan(
            rate=rate,
            seconds=duration,
            streams=streams,
            model=model,
            questions=question or QUESTIONS,
            even=not poisson,
            patience=timeout,
        )
    )
    found = asyncio.run(loaded(target, plan))
    if not as_documents(found, output, json):
        say("\n".join(lines(found)))
    missed = failed_gates(found, max_errors, max_p99)
    for sentence in missed:
        remark(f"gate: {sentence}")
    return PROBLEMS if missed else OK


def planned(plan: Plan) -> Plan:
    """The plan, if it is one. Raises Failure (2)."""
    if not (plan.rate > 0 and plan.seconds > 0 and plan.patience > 0):
        raise Failure("--rate, --duration and --timeout must be above 0", USAGE)
    if not 0 <= plan.streams <= 1:
        raise Failure("--streams is a share between 0 and 1", USAGE)
    if plan.rate * plan.seconds > MOST:
        raise Failure(f"that is more than {MOST:,} questions", USAGE, "a shorter --duration or a lower --rate")
    return plan


async def loaded(url: str, plan: Plan) -> dict[str, Any]:
    """Run the plan against an address. Raises Failure when nobody answers there at all (3), or it is none (2)."""
    parts = urlsplit(url)
    origin, prefix = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/").removesuffix("/v1")
    await _somebody(origin)
    key = os.environ.get("EQUIPOISE_API_KEY")
    load = Load(origin, plan, ((b"authorization", b"Bearer " + key.encode()),) if key else (), prefix)
    began = time.monotonic()
    taken = await load.run(_progress)
    if sys.stderr.isatty():
        remark("")
    return {"target": url, **summary(plan, taken, time.monotonic() - began)}


async def _somebody(origin: str) -> None:
    try:
        pool = Pool(origin)
    except ValueError as error:
        raise Failure(f"{origin} is not the address of a server", USAGE, f"for example {GATEWAY}") from error
    try:
        response = await pool.request("GET", "/livez", timeouts=Timeouts(connect=5.0, first_byte=5.0, total=5.0))
        await response.read()
    except HTTPError as error:
        raise Failure(f"nobody answers at {origin}: {error}", UNREACHABLE, "`equipoise serve` starts one") from error
    finally:
        await pool.close()


def _progress(load: Load) -> None:
    """One line that is written over and over, for people only."""
    if not sys.stderr.isatty() or os.environ.get(QUIET):
        return
    done, failed = len(load.taken), sum(not each.answered for each in load.taken[-1000:])
    filled = round(BAR * done / load.plan.count)
    bar = "#" * filled + "." * (BAR - filled)
    sys.stderr.write(
        f"\r[{bar}] {done}/{load.plan.count}, {load.under_way} under way, {failed} of the last 1000 failed "
    )
    sys.stderr.flush()
