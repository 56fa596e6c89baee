"""What an operator may say of how good answers are found out to be."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from equipoise.config.fields import Count, NotNegative, Positive, Section, Share, Text


class QualityWeightsConfig(Section):
    """What each dimension counts; only their ratios matter, and what could not be known is left out."""

    response_relevance: NotNegative = 0.4
    """Whether the answer speaks of what was asked, and is no refusal."""
    factual_accuracy: NotNegative = 0.3
    """Support by the sources that came with the answer; unknown without any."""
    completeness: NotNegative = 0.2
    """Whether each part of the question was taken up and the answer came to its end."""
    citation_quality: NotNegative = 0.1
    """Whether marks lead to sources, and these support their sentences."""

    @model_validator(mode="after")
    def _something_counts(self) -> QualityWeightsConfig:
        if not any((self.response_relevance, self.factual_accuracy, self.completeness, self.citation_quality)):
            raise ValueError("at least one weight must be above 0")
        return self


class JudgeConfig(Section):
    """A model that grades some of the scored answers. It sees question, answer and sources, never whose answer it is."""

    backend: Text
    """Id of the backend that grades."""
    share: Share = 0.05
    """Share of the scored answers that are graded."""
    max_usd_per_hour: NotNegative = 0.5
    """Most that the grades of any one hour are expected to cost, in USD, in each process."""
    own_answers: bool = False
    """Whether the judge also grades its own backend's answers; models favour themselves."""
    timeout_seconds: Positive = 60.0
    """Seconds a grade may take."""


class QualityConfig(Section):
    """How answers are scored: beside the requests, a share of them (`quality_sampling_rate`)."""

    weights: QualityWeightsConfig = QualityWeightsConfig()
    """What each dimension counts."""
    queue: Count = 256
    """Answers that may wait to be scored; more are dropped and counted."""
    remember: Count = Field(default=10_000, le=1_000_000)
    """Answers remembered (without their words) for feedback; of older ones the ledger is asked."""
    embedding: Literal["off", "wordllama"] = "off"
    """Word vectors that help to see what is off topic; needs the extra `semantic`."""
    judge: JudgeConfig | None = None
    """A model that grades; without it the rules and what people say are all there is."""
