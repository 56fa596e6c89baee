"""What a simulation is made of: a configuration, modelled backends, questions that come, and what goes wrong when."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from equipoise.config.errors import ConfigurationError
from equipoise.config.fields import Count, FilePath, NotNegative, Positive, Section, Share, Text, Texts, WholeNumber
from equipoise.config.files import read
from equipoise.config.strategies import StrategyName
from equipoise.config.translate import problems_in


class ModelledBackend(Section):
    """How one backend of the configuration behaves in the simulation."""

    fit: FilePath | None = None
    """`ledger`: as its recorded attempts were; or a file of LLMPerf results (JSON). The fields below replace what was fitted."""
    first_token_seconds: Positive | None = None
    """Median seconds to the first token; 0.3 when nothing was fitted."""
    tokens_per_second: Positive | None = None
    """Median tokens a second of one answer; 60 when nothing was fitted."""
    output_tokens: Count | None = None
    """Mean length of its answers; that of the questions when absent."""
    spread: NotNegative = 0.3
    """Log-normal deviation around the two medians, where nothing was fitted."""
    slots: Count = 16
    """Answers it writes at once; others wait in a queue of its own."""
    failure_rate: Share | None = None
    """Share of questions it fails on; none when nothing was fitted."""
    quality: Share | dict[str, Share] | None = None
    """Mean quality of its answers, or by kind of question; its `quality_score` when absent."""


class Questions(Section):
    """The questions that come: at a rate, or as a trace has them."""

    rate: Positive | None = None
    """Questions a second, at random (Poisson)."""
    trace: FilePath | None = None
    """Instead: a CSV file with TIMESTAMP or arrival columns, as the Azure and Mooncake traces have them."""
    speed: Positive = 1.0
    """How much faster than its trace they come."""
    count: Count | None = None
    """How many; 10,000 at a rate, all of a trace."""
    day: Share = 0.0
    """How much the rate swings over 24 hours: 0 is even, 1 falls to nothing at night."""
    input_tokens: Count = 500
    """Tokens of a question."""
    output_tokens: Count = 210
    """Mean tokens of an answer, where neither the trace nor the backend says more."""
    kinds: dict[str, NotNegative] = Field(default_factory=lambda: {"general": 1.0})
    """Kinds of question and their weights."""
    tenant: Text = "default"
    """Whose they are."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Questions:
        if (self.rate is None) == (self.trace is None):
            raise ValueError("needs either rate or trace")
        if not any(self.kinds.values()):
            raise ValueError("kinds needs a weight above 0")
        return self


class Trouble(Section):
    """What goes wrong, when, where, and for how long."""

    backend: Text
    """Its id."""
    what: Literal["slow", "down", "failing", "hanging", "throttling"]
    """slow by `factor`, down (refuses connections), failing (500 at once), hanging (never answers), throttling (429)."""
    at_seconds: NotNegative
    """When, from the start."""
    for_seconds: Positive
    """For how long."""
    factor: Positive = 5.0
    """How much slower."""


class Scenario(Section):
    """A simulation."""

    config: FilePath = "equipoise.yaml"
    """The configuration whose routes, strategies, breakers, retries and prices are simulated."""
    route: Text = "auto"
    """Where the questions go."""
    strategies: tuple[StrategyName, ...] = ()
    """Run once under each of these; under the route's own when absent."""
    backends: dict[str, ModelledBackend] = Field(default_factory=dict)
    """Backend id -> how it behaves. One that is not named behaves as its configuration expects."""
    questions: Questions
    """What comes."""
    troubles: tuple[Trouble, ...] = ()
    """What goes wrong."""
    scored: Share | None = None
    """Share of answers whose quality becomes known to strategies that learn; `quality_sampling_rate` when absent."""
    scored_after_seconds: NotNegative = 5.0
    """When it does, from the answer."""
    seed: WholeNumber = 1
    """Another seed is another run; the same is the same to the last answer."""
    only: Texts | None = None
    """Backends that take part; all when absent."""


def read_scenario(file: Path) -> Scenario:
    """The scenario in a file, its paths taken from where the file is. Raises ConfigurationError with all that is wrong."""
    tree = read(file)
    try:
        found = Scenario.model_validate(tree.data)
    except ValidationError as error:
        raise ConfigurationError([p.at(tree.origin(p.path)) for p in problems_in(error)]) from error
    return _from(found, file.resolve().parent)


def _from(found: Scenario, folder: Path) -> Scenario:
    trace = found.questions.trace and str(folder / found.questions.trace)
    backends = {
        name: of if of.fit in (None, "ledger") else of.model_copy(update={"fit": str(folder / str(of.fit))})
        for name, of in found.backends.items()
    }
    questions = found.questions.model_copy(update={"trace": trace})
    return found.model_copy(update={"config": str(folder / found.config), "questions": questions, "backends": backends})
