"""`doctor --live`: one short question to each backend, and whether its answer has the shape we recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from equipoise.cli.examination import FAIL, OK, WARN, Finding
from equipoise.core.model import NANO_PER_USD, Answer, BackendType, Message, NanoUSD, Question, dollars

if TYPE_CHECKING:
    from equipoise.balancer import LoadBalancer, Unanswered

QUESTION = "What is clinical metabolomics? Answer in one sentence."
MOST_TOKENS = 64
# What a good answer of each kind was recorded to carry (Perplexity's Agent API of 25 September 2026, LightRAG 1.5,
# OpenAI's chat completions of November 2026); a missing one is a change of the provider's that we should hear of.
EXPECTED: dict[BackendType, tuple[str, ...]] = {
    BackendType.LIGHTRAG: ("text", "citations"),
    BackendType.PERPLEXITY: ("text", "citations", "usage", "metered cost", "model"),
    BackendType.OPENAI_DIRECT: ("text", "usage", "model"),
    BackendType.LOCAL_LLM: ("text", "usage", "model"),
    BackendType.FUNCTION: ("text",),
}


async def live_questions(balancer: LoadBalancer, budget_usd: float) -> AsyncIterator[Finding]:
    """Ask each backend in turn, while the expected cost fits in what is left of the budget (USD)."""
    left = round(budget_usd * NANO_PER_USD)
    for name in balancer.clients:
        finding, spent = await _ask(balancer, name, left)
        left -= spent
        yield finding


async def _ask(balancer: LoadBalancer, name: str, left: NanoUSD) -> tuple[Finding, NanoUSD]:
    from equipoise.balancer import Hints, Unanswered

    check = f"{name}: live"
    if left <= 0:
        return Finding(check, WARN, "not asked: nothing is left of --max-cost-usd"), 0
    question = Question(messages=[Message(role="user", content=QUESTION)], max_tokens=MOST_TOKENS)
    request, _ = balancer.request(question, Hints(model=name, max_cost=left, tags=("doctor",)))
    try:
        reply = await balancer.answer(request)
    except Unanswered as error:
        return _unanswered(check, error, left), error.cost
    missing = [part for part in EXPECTED[reply.backend_type] if part not in set(parts_of(reply.answer))]
    told = f"answered in {reply.duration:.2f} s for ${dollars(reply.cost)} ({reply.cost_source.value})"
    if missing:
        return Finding(check, WARN, f"{told}, but without what was recorded: {', '.join(missing)}"), reply.cost
    return Finding(check, OK, f"{told}, in the recorded shape"), reply.cost


def _unanswered(check: str, error: Unanswered, left: NanoUSD) -> Finding:
    """Whom the cap spared was not found wanting."""
    why = "; ".join(error.reasons.values())
    if error.code == "budget_exceeded":
        return Finding(check, WARN, f"not asked: {why} (${dollars(left)} is left of --max-cost-usd)")
    return Finding(check, FAIL, why or error.message)


def parts_of(answer: Answer) -> Iterator[str]:
    """The parts of an answer that are there."""
    if answer.text.strip():
        yield "text"
    if answer.citations:
        yield "citations"
    if not answer.usage.estimated:
        yield "usage"
    if answer.metered_cost is not None:
        yield "metered cost"
    if answer.model:
        yield "model"
