"""From a scenario and its configuration to runs: the real selection, modelled servers, and troubles that are due."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from equipoise.build import selection_of
from equipoise.build.budgets import budgets_of
from equipoise.build.learning import kinds_told_apart
from equipoise.build.routes import retry_of
from equipoise.config import BackendConfig, Config
from equipoise.config.scenario import ModelledBackend, Questions, Scenario, Trouble
from equipoise.core.intake import learns
from equipoise.simulation.arrivals import at_random, of_trace
from equipoise.simulation.clock import VirtualClock
from equipoise.simulation.run import Crowd, Run
from equipoise.simulation.scoring import Scoring, described
from equipoise.simulation.server import Server
from equipoise.simulation.shapes import Shape, fitted

USUAL_COUNT = 10_000
FIRST_SHARE = 0.3
USUAL_TOKENS = 250
"""What an `expected_response_time_ms` is taken to mean, as in the core: 30 % to the first token, then 250 tokens."""

Recorded = Callable[[str], Shape | None]
"""The shape of a backend's recorded attempts, None of too few."""


def run_of(scenario: Scenario, config: Config, strategy: str | None, recorded: Recorded) -> tuple[Run, Crowd]:
    """One run under one strategy (None: the route's own). Raises ValueError naming what does not fit together."""
    config = _taking_part(scenario, config)
    clock, chance = VirtualClock(), random.Random(scenario.seed)  # noqa: S311 - a simulation
    selection, _ = selection_of(config, clock, chance, budgets_of(config))
    if scenario.route not in selection.routes:
        raise ValueError(f"there is no route {scenario.route}; there are {', '.join(selection.routes)}")
    servers = {
        name: _server(scenario.backends.get(name, ModelledBackend()), name, of, clock, scenario.seed, recorded)
        for name, of in config.backend_instances.items()
    }
    for trouble in scenario.troubles:
        _due(trouble, servers, clock)
    run = Run(
        selection,
        servers,
        clock,
        retry=retry_of(config),
        route=scenario.route,
        strategy=strategy,
        seed=scenario.seed + 1,
        scoring=_scoring(scenario, config, strategy or selection.routes[scenario.route].strategy),
    )
    return run, crowd_of(scenario.questions, scenario.seed + 2)


def _scoring(scenario: Scenario, config: Config, strategy: str) -> Scoring:
    share = config.quality_sampling_rate if scenario.scored is None else scenario.scored
    known = described(scenario.questions.kinds, kinds_told_apart(config)) if learns(strategy) else {}
    return Scoring(share, scenario.scored_after_seconds, known)


def crowd_of(of: Questions, seed: int) -> Crowd:
    """The questions that come, in the same way under every strategy."""
    chance = random.Random(seed)  # noqa: S311 - a simulation
    if of.trace is not None:
        arrivals = of_trace(Path(of.trace), of.speed)
        if of.count is not None:
            arrivals = (arrival for arrival, _ in zip(arrivals, range(of.count), strict=False))
    else:
        count = of.count or USUAL_COUNT
        arrivals = at_random((of.rate or 1.0) * of.speed, count, of.day, chance, of.input_tokens)
    return Crowd(arrivals, of.output_tokens, dict(of.kinds), of.tenant)


def expected_count(of: Questions) -> int | None:
    """How many questions will come, for a progress bar; None when only the trace knows."""
    return of.count or (None if of.trace else USUAL_COUNT)


def _taking_part(scenario: Scenario, config: Config) -> Config:
    unknown = [name for name in (*scenario.backends, *(scenario.only or ())) if name not in config.backend_instances]
    unknown += [trouble.backend for trouble in scenario.troubles if trouble.backend not in config.backend_instances]
    if unknown:
        known = ", ".join(config.backend_instances)
        raise ValueError(f"the configuration has no backend {', '.join(dict.fromkeys(unknown))}; it has {known}")
    if scenario.only is None:
        return config
    kept = {name: of for name, of in config.backend_instances.items() if name in scenario.only}
    return config.model_copy(update={"backend_instances": kept})


def _server(
    model: ModelledBackend, name: str, of: BackendConfig, clock: VirtualClock, seed: int, recorded: Recorded
) -> Server:
    quality = model.quality if isinstance(model.quality, dict) else {"": model.quality}
    mean = {kind: of.quality_score if value is None else value for kind, value in quality.items()}
    mean.setdefault("", of.quality_score)
    chance = random.Random(f"{seed} {name}")  # noqa: S311 - a simulation
    return Server(_shape(model, name, of, recorded), model.slots, mean, clock, chance)


def _shape(model: ModelledBackend, name: str, of: BackendConfig, recorded: Recorded) -> Shape:
    """As measured, else as said, else as the configuration expects."""
    if model.fit is not None:
        found = recorded(name) if model.fit == "ledger" else of_llmperf(Path(model.fit))
        if found is None:
            raise ValueError(f"{name}: fewer than 20 answers to fit in {model.fit}")
        if model.failure_rate is None:
            return found
        return Shape(measured=found.measured, failure_rate=model.failure_rate)
    expected = of.expected_response_time_ms / 1000.0
    return Shape(
        first_token=model.first_token_seconds or FIRST_SHARE * expected,
        seconds_per_token=1.0 / model.tokens_per_second
        if model.tokens_per_second
        else (1.0 - FIRST_SHARE) * expected / USUAL_TOKENS,
        spread=model.spread,
        tokens=model.output_tokens,
        failure_rate=model.failure_rate or 0.0,
    )


def of_llmperf(file: Path) -> Shape | None:
    """The shape of LLMPerf's individual responses (ttft_s, end_to_end_latency_s, number_output_tokens).

    Raises OSError when it cannot be read, ValueError when it is something else.
    """
    rows = json.loads(file.read_text("utf-8"))
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{file} holds no list of responses")
    good = [row for row in rows if row.get("error_code") is None and row.get("number_output_tokens")]
    answers = [
        (float(row["ttft_s"]), float(row["end_to_end_latency_s"]), int(row["number_output_tokens"])) for row in good
    ]
    return fitted(answers, len(rows) - len(good))


def _due(trouble: Trouble, servers: dict[str, Server], clock: VirtualClock) -> None:
    server = servers[trouble.backend]

    def begin() -> None:
        if trouble.what == "slow":
            server.slower = trouble.factor
        else:
            server.trouble = trouble.what

    def end() -> None:
        server.slower, server.trouble = 1.0, ""

    clock.at(trouble.at_seconds, begin)
    clock.at(trouble.at_seconds + trouble.for_seconds, end)
