"""What an operator may say of a move from an older system: where that is, and how fast the move may go."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from equipoise.config.backend import BackendConfig
from equipoise.config.fields import Count, NotNegative, Positive, Section, Share, Text, Texts
from equipoise.core.model import BackendType

INCUMBENT = "incumbent"
PhaseNumber = Annotated[int, Field(ge=1, le=5)]
QUERIES = (
    "What is clinical metabolomics?",
    "Latest biomarkers for diabetes",
    "Metabolic pathway analysis methods",
)


class IncumbentConfig(BackendConfig):
    """The old side: a backend like another, a Python object (`function: module:object`), or any HTTP endpoint that
    takes the question as a field of a JSON object (`endpoint_url` and `question_field`)."""

    id: Text = INCUMBENT
    """Its name in records; always incumbent."""
    backend_type: BackendType = BackendType.FUNCTION
    """The dialect it speaks; with `question_field` it speaks none of ours, whatever this says."""
    question_field: Text | None = None
    """The JSON field of a POST to `endpoint_url` that holds the question."""
    circuit_breaker_enabled: bool = False
    """Whether failures stop it being asked for a while; before the move nothing did."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> IncumbentConfig:
        if self.id != INCUMBENT:
            raise ValueError(f"id is always {INCUMBENT}: leave it out")
        at_home = self.backend_type is BackendType.FUNCTION and self.question_field is None
        if at_home and not self.function:
            raise ValueError("needs function: module:object, or endpoint_url with backend_type or question_field")
        if not at_home and not self.endpoint_url:
            raise ValueError("needs endpoint_url")
        return self


class ShadowConfig(Section):
    """Copies of questions for the new side while it has no traffic."""

    share: Share = 0.1
    """Share of the old side's questions that are copied in phase 1."""
    max_usd_per_hour: NotNegative = 1.0
    """Most that the copies of any one hour are expected to cost, in USD."""
    parallel: Count = 4
    """Copies at once; others wait or are dropped."""


class CriteriaConfig(Section):
    """What the new side must have shown before the next phase begins."""

    response_time_ms: Positive = 2000.0
    """Milliseconds of a whole answer, at most, on average."""
    success_rate_percentage: Annotated[float, Field(ge=0, le=100)] = 95.0
    """Questions answered of a hundred, at least."""
    cost_efficiency_ratio: NotNegative = 0.8
    """What the old side pays for an answer, divided by what the new one pays, at least."""
    quality_score_minimum: Share = 0.75
    """Quality of its answers, at least."""
    minimum_requests: Count = 20
    """Questions of live traffic that make a measure."""


class ValidationConfig(Section):
    """Questions of ours that the new side must answer before each phase."""

    queries: Annotated[Texts, Field(min_length=1)] = QUERIES
    """They are asked in turn: 3, 3, 10, 15 and 9 of them before phases 1 to 5."""
    max_usd: NotNegative = 1.0
    """Most that the questions of one phase are expected to cost, in USD."""


class MigrationConfig(Section):
    """The move from an older system, in five phases."""

    incumbent: IncumbentConfig
    """The old side."""
    shadow: ShadowConfig = ShadowConfig()
    """Copies for the new side while it has no traffic."""
    hold_minutes: dict[PhaseNumber, NotNegative] = Field(default_factory=lambda: {1: 60.0, 2: 60.0, 3: 60.0, 4: 60.0})
    """Minutes that a phase lasts at least, by its number; a phase that is left out has no such time."""
    criteria: CriteriaConfig = CriteriaConfig()
    """What is wanted of the new side."""
    validation: ValidationConfig = ValidationConfig()
    """Questions of ours before each phase."""
    salt: str = ""
    """Shuffles who goes first; to change it in the middle of a move moves people to and fro."""
    rescue: bool = True
    """Whether the old side answers what the new one could not; the failure counts against the new side all the same."""
    automatic_rollback: bool = True
    """Whether a new side that is shown to be worse goes back to phase 1 by itself; canary: says what worse is."""
    split_by_tenant: bool = False
    """Whether a tenant's users move together where a question has neither session nor user."""
