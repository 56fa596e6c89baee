"""`equipoise routes explain`"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import configuration, estate_of
from equipoise.cli.exits import OK, PROBLEMS, Failure
from equipoise.cli.migrating import admin_url as admin_address
from equipoise.cli.output import DIM, Output, as_documents, painted, say, table
from equipoise.cli.remote import Remote
from equipoise.core.intake import Hints
from equipoise.core.model import Message, Question
from equipoise.gateway.explaining import EXPLAIN, explained
from equipoise.gateway.problems import Problem


def explain(
    question: str,
    /,
    *,
    model: str = "auto",
    strategy: str | None = None,
    admin_url: str | None = None,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Say who would be asked, and why; asks nobody. Exit code 1 when nobody could be.

    Parameters
    ----------
    question: str
        What would be asked.
    model: str
        A route, a strategy, a backend or an alias.
    strategy: str
        How the backend is chosen.
    admin_url: str
        A running gateway's admin listener; otherwise EQUIPOISE_ADMIN_URL, or http://127.0.0.1:4001.
    config: Path
        Decide by this configuration, without a gateway and without what one would have learned.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    hints = {"model": model, "strategy": strategy}
    told = asyncio.run(_here(config, question, hints) if config else _there(admin_address(admin_url), question, hints))
    if not as_documents(told, output, json):
        _print(told)
    return OK if told["backend"] else PROBLEMS


async def _there(url: str, question: str, hints: dict[str, Any]) -> dict[str, Any]:
    async with Remote(url) as remote:
        return dict(await remote.post(EXPLAIN, {"question": question, **hints}))


async def _here(config: Path, question: str, hints: dict[str, Any]) -> dict[str, Any]:
    balancer = estate_of(configuration(config)).balancer
    try:
        return explained(balancer, Question(messages=[Message("user", question)]), Hints(**hints))
    except Problem as problem:
        raise Failure(problem.message) from problem
    finally:
        await balancer.close()


def _print(told: dict[str, Any]) -> None:
    say(f"{told['backend'] or 'nobody'}: {told['reason']}")
    if told["backend"]:
        say(painted(f"route {told['route']}, {told['strategy']}, a question of kind {told['kind']}", DIM))
    rows = [
        (name, score, "chosen" if name == told["backend"] else "") for name, score in told.get("compared", {}).items()
    ]
    rows += [(name, None, why) for name, why in told["excluded"].items() if name not in told.get("compared", {})]
    if rows:
        table(("backend", "score", ""), rows)
