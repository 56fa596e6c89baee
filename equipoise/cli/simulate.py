"""`equipoise simulate`"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from equipoise.cli.configured import configuration, estate_paths
from equipoise.cli.exits import OK, USAGE, Failure
from equipoise.cli.output import Output, as_documents, remark, say, table, tell
from equipoise.config.errors import ConfigurationError
from equipoise.config.scenario import Scenario, read_scenario
from equipoise.core.account import Unit

if TYPE_CHECKING:
    from equipoise.simulation import Story
    from equipoise.simulation.shapes import Shape
    from equipoise.stores.database import Database

BAR = 30
COLUMNS = ("strategy", "answered", "failed", "p50 s", "p95 s", "p99 s", "first p50", "quality", "cost usd", "attempts", "breakers")  # fmt: skip


def simulate(
    scenario: Path,
    /,
    *,
    strategy: list[str] | None = None,
    count: int | None = None,
    seed: int | None = None,
    picture: Path | None = None,
    output: Output = None,
    json: bool = False,
) -> int:
    """Play a scenario in virtual time: the real core decides, modelled backends answer, nothing is asked.

    Parameters
    ----------
    scenario: Path
        A YAML file: configuration, modelled backends, questions, troubles.
    strategy: list[str]
        Run under this strategy (again for more); otherwise those of the scenario.
    count: int
        How many questions, instead of the scenario's.
    seed: int
        Another seed, another run; the same seed, the same run.
    picture: Path
        Also write an SVG picture there.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    said = _read(scenario, count, seed)
    stories = _played(said, strategy)
    if picture is not None:
        _draw(picture, stories)
    if not as_documents({"runs": [story.as_dict() for story in stories]}, output, json):
        _print(stories)
    return OK


def _read(file: Path, count: int | None, seed: int | None) -> Scenario:
    try:
        said = read_scenario(file)
    except ConfigurationError as error:
        raise Failure(str(error), USAGE) from error
    if count is not None:
        said = said.model_copy(update={"questions": said.questions.model_copy(update={"count": count})})
    return said if seed is None else said.model_copy(update={"seed": seed})


def _played(said: Scenario, strategies: list[str] | None) -> list[Story]:
    from equipoise.build.store import ledger_in
    from equipoise.simulation.assembly import expected_count, run_of

    loaded = configuration(Path(said.config))
    estate_paths(loaded)
    wanted: list[str | None] = [*(strategies or map(str, said.strategies))] or [None]
    stories = []
    for number, name in enumerate(wanted):
        try:
            run, crowd = run_of(said, loaded.config, name, _recorded(ledger_in(loaded.config)))
            stories.append(run.play(crowd, _progress(number, len(wanted), expected_count(said.questions))))
        except (ValueError, OSError) as error:
            raise Failure(str(error), USAGE) from error
    _end_progress()
    return stories


def _recorded(ledger: Database | None) -> Callable[[str], Shape | None]:
    def shape_of(backend_id: str) -> Shape | None:
        from equipoise.simulation.shapes import fitted
        from equipoise.stores import StoreError
        from equipoise.stores.measured import measured_answers

        if ledger is None or not ledger.exists():
            raise ValueError(f"{backend_id}: there is no ledger to fit it from")
        try:
            return fitted(*measured_answers(ledger, backend_id))
        except StoreError as error:
            raise ValueError(str(error)) from error

    return shape_of


def _progress(number: int, runs: int, expected: int | None) -> Callable[[int], None]:
    def told(count: int) -> None:
        if not sys.stderr.isatty() or count % 5000:
            return
        share = min(1.0, count / expected) if expected else 0.0
        done = round(BAR * share)
        sys.stderr.write(f"\rrun {number + 1} of {runs} [{'#' * done}{'.' * (BAR - done)}] {count} questions ")
        sys.stderr.flush()

    return told


def _end_progress() -> None:
    if sys.stderr.isatty():
        tell("")


def _draw(file: Path, stories: list[Story]) -> None:
    from equipoise.simulation.picture import as_svg

    try:
        file.write_text(as_svg(stories), "utf-8")
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}", USAGE) from error
    remark(f"wrote {file}")


def _print(stories: list[Story]) -> None:
    from equipoise.simulation.picture import in_letters

    table(COLUMNS, [_row(story.as_dict()) for story in stories])
    for story in stories:
        say(f"\n{story.strategy}")
        for line in in_letters(story):
            say(line)
        for row in story.as_dict()["budgets"]:
            say(f"  budget {row['budget']}: {_spent(row)} in the last window")
        if story.unanswered:
            say("  unanswered: " + ", ".join(f"{count} {code}" for code, count in story.unanswered.most_common()))


def _spent(row: dict[str, Any]) -> str:
    unit = Unit[row["unit"].upper()]
    return f"{unit.written(row['spent'])} of {unit.written(row['limit'])} ({row['share']:.0%})"


def _row(numbers: dict[str, Any]) -> tuple[Any, ...]:
    seconds = numbers["seconds"]
    return (
        numbers["strategy"],
        numbers["answered"],
        sum(numbers["unanswered"].values()),
        seconds["p50"],
        seconds["p95"],
        seconds["p99"],
        numbers["first_token_seconds"]["p50"],
        numbers["quality"],
        float(numbers["cost_usd"]),
        numbers["attempts_per_question"],
        numbers["breaker_changes"],
    )
