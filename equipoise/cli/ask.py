"""`equipoise ask`"""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from equipoise.cli.asking import Query, Told, ask_gateway, ask_here
from equipoise.cli.output import DIM, Output, as_documents, cell, harmless, painted, say, tell
from equipoise.cli.serve import looped


def ask(
    question: str,
    /,
    *,
    model: str = "auto",
    strategy: str | None = None,
    url: str | None = None,
    config: Annotated[Path | None, Parameter(name=["--config", "-c"])] = None,
    timeout: float = 120.0,
    output: Output = None,
    json: bool = False,
) -> int:
    """Ask one question and see answer, sources, cost and reason.

    Parameters
    ----------
    question: str
        What to ask.
    model: str
        A route (auto, auto:cheap, auto:fast, auto:best, your own), a strategy, a backend or an alias.
    strategy: str
        How the backend is chosen.
    url: str
        A running gateway; otherwise EQUIPOISE_URL. Without either the question is answered in this process, by the
        backends of the configuration. EQUIPOISE_API_KEY is shown to the gateway.
    config: Path
        The configuration to answer from.
    timeout: float
        Seconds to wait.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document at the end.
    """
    query = Query(
        question, model, strategy, timeout, _print_piece if _for_people(output, json) else (lambda piece: None)
    )
    gateway = url or (None if config else os.environ.get("EQUIPOISE_URL"))
    return looped(_asked(ask_gateway(gateway, query) if gateway else ask_here(config, query), output, json))


async def _asked(asking: Awaitable[Told], output: str | None, json: bool) -> int:
    told = await asking
    if told.warning:
        tell(harmless(f"warning: {told.warning}"))
    if not as_documents(told.as_dict(), output, json):
        _print_rest(told)
    return 0


def _for_people(output: str | None, json: bool) -> bool:
    return not json and output not in ("json", "yaml")


def _print_piece(piece: str) -> None:
    say(harmless(piece), end="")


def _print_rest(told: Told) -> None:
    say("\n" if told.text else "")
    for citation in told.citations:
        place = citation["url"] or citation["file"] or ""
        title = citation["title"] if citation["title"] != place else ""
        say(" ".join([f"  [{citation['index']}]", *(cell(part) for part in (title, place) if part)]))
    if told.citations:
        say()
    say(painted(cell(f"{_by(told)}, {told.strategy}: {told.reason}"), DIM))
    after = f", {told.attempts} attempts, instead of {told.fallback_from}" if told.fallback_from else ""
    say(painted(f"${told.cost_usd} ({told.cost_source}), {told.seconds:.2f} s{after}", DIM))


def _by(told: Told) -> str:
    """Who answered, by which model, out of which documents."""
    known = [part for part in (told.model, told.corpus and f"corpus {told.corpus}") if part and part != told.backend]
    return f"{told.backend} ({', '.join(known)})" if known else str(told.backend)
