"""What an operator may say of canaries: how they climb, what is compared and how strictly, what copies may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from equipoise.config.fields import Count, NotNegative, Positive, Section, Share

Percent = Annotated[float, Field(gt=0, le=100)]
Part = Annotated[float, Field(gt=0, lt=1)]
Factor = Annotated[float, Field(gt=1, le=100)]
AtLeastOne = Annotated[float, Field(ge=1, le=100)]
MeasureName = Literal["errors", "latency", "first_token", "cost", "quality"]
MOST_ALPHA = 0.5


class AlphaConfig(Section):
    """The chance of rolling back a candidate that is no worse, however long one looks: spent on each measure."""

    errors: Part = 0.032
    """Questions that got no answer."""
    latency: Part = 0.006
    """Seconds to the whole answer."""
    first_token: Part = 0.003
    """Seconds to a stream's first word."""
    cost: Part = 0.002
    """Money for an answer."""
    quality: Part = 0.005
    """Quality of answers that were scored."""
    sample_ratio: Part = 0.002
    """Sides that did not get their share of keys, or lost callers on the way: this pauses, it does not roll back."""

    @model_validator(mode="after")
    def _is_spent_once(self) -> AlphaConfig:
        total = sum(getattr(self, name) for name in type(self).model_fields)
        if total > MOST_ALPHA:
            raise ValueError(f"the parts add up to {total:g}: more than {MOST_ALPHA:g} is no protection")
        return self


class MarginConfig(Section):
    """Harm that is still acceptable: promotion needs it shown that the candidate's is smaller."""

    errors: Part = 0.02
    """Share of questions that the candidate may fail more."""
    latency: Factor = 1.25
    """How many times the control's seconds."""
    first_token: Factor = 1.25
    """How many times the control's seconds to the first word."""
    cost: Factor = 1.25
    """How many times the control's money for an answer."""
    quality: Part = 0.05
    """Quality that the candidate's answers may lack."""


class ToleranceConfig(Section):
    """Differences too small to roll back for, however surely they are there."""

    latency: AtLeastOne = 1.1
    """How many times the control's seconds."""
    first_token: AtLeastOne = 1.1
    """How many times the control's seconds to the first word."""
    cost: AtLeastOne = 1.1
    """How many times the control's money for an answer."""
    fast_seconds: NotNegative = 0.1
    """Seconds within which all answers, and all first words, are equally fast."""


class CopiesConfig(Section):
    """Copies of the control's questions for the candidate, compared before its first percent."""

    questions: Annotated[int, Field(ge=0)] = 0
    """Copies that must have been compared; 0 begins with live traffic."""
    share: Share = 0.1
    """Share of the control's questions that are copied."""
    max_usd_per_hour: NotNegative = 1.0
    """Most that the copies of any one hour are expected to cost, in USD."""
    parallel: Count = 4
    """Copies at once; others wait or are dropped."""


class CanaryConfig(Section):
    """How a candidate beside the running configuration is watched, promoted and rolled back."""

    ladder: Annotated[tuple[Percent, ...], Field(min_length=1)] = (5.0, 10.0, 25.0, 50.0, 100.0)
    """Percent of keys on each rung, rising."""
    hold_minutes: NotNegative = 10.0
    """Minutes that a rung lasts at least."""
    minimum_requests: Count = 50
    """Questions of the candidate's that a rung lasts at least."""
    advance: bool = True
    """Climb by itself once nothing worse is shown; without it an operator promotes. Rollback is always by itself."""
    alpha: AlphaConfig = AlphaConfig()
    """How surely something must be worse to be rolled back."""
    margin: MarginConfig = MarginConfig()
    """How much worse it may still be to be promoted."""
    tolerance: ToleranceConfig = ToleranceConfig()
    """Differences that are no harm."""
    required: tuple[MeasureName, ...] = ("errors", "latency")
    """Measures in which it must be shown to be no worse than the margin before a rung is left by itself."""
    promotion_alpha: Part = 0.05
    """The chance of taking a candidate that is worse by the margin for one that is not."""
    failures_in_a_row: Count = 8
    """Failures of the candidate one after the other that end it at once, while the control answers."""
    quiet_minutes: Positive = 10.0
    """Minutes over which traffic is counted."""
    quiet_requests: Annotated[int, Field(ge=0)] = 10
    """Questions of the candidate's in that time below which there is too little traffic: it pauses and says so."""
    copies: CopiesConfig = CopiesConfig()
    """Copies before the first percent."""
    sticky_by: Literal["session", "user", "key"] = "session"
    """What stays on its side: a session (else an end user), an end user (else a session), or all of a client's key."""
    salt: str = ""
    """Shuffles who goes first; a change in the middle of a canary moves people to and fro."""
    rescue: bool = True
    """Whether the control answers what the candidate could not; the failure counts against the candidate all the same."""
    require_replay: bool = False
    """Whether another strategy needs a verdict over recorded decisions before its first percent."""

    @model_validator(mode="after")
    def _rises(self) -> CanaryConfig:
        if list(self.ladder) != sorted(set(self.ladder)):
            raise ValueError("the rungs of ladder must rise")
        return self
