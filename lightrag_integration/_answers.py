"""One question to one backend, and what came of it in the specified form. What is not known is None, never invented."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.balancer import Hints, LoadBalancer, Reply, Unanswered
from equipoise.core.model import BackendType, CostSource, Message, Question, dollars
from equipoise.core.policies import specified
from equipoise.gateway.dialects.base import Asked, Envelope, total_tokens
from equipoise.gateway.dialects.chat import write_chat

SAMPLING = ("temperature", "top_p", "stop", "seed", "presence_penalty", "frequency_penalty", "reasoning_effort")
QUOTA = "rate_limit_remaining"
HINTS = ("strategy", "max_cost", "deadline_seconds", "session", "tenant", "tags", "request_id")


def question_of(query: str, options: Mapping[str, Any]) -> Question:
    """A question with instructions and history around it; unknown options are for the one engine that knows them."""
    known = {"system_prompt", "conversation_history", "max_tokens", *SAMPLING, *HINTS}
    system = [Message("system", str(options["system_prompt"]))] if options.get("system_prompt") else []
    history = [Message(str(turn["role"]), turn["content"]) for turn in options.get("conversation_history") or ()]
    return Question(
        messages=[*system, *history, Message("user", query)],
        max_tokens=options.get("max_tokens"),
        options={name: options[name] for name in SAMPLING if options.get(name) is not None},
        extra={name: value for name, value in options.items() if name not in known},
    )


def hints_of(options: Mapping[str, Any], model: str = "auto") -> Hints:
    """What may be said about how a question is to be answered; `max_cost` is in nano-dollars."""
    return Hints(model=model, **{name: options[name] for name in HINTS if options.get(name) is not None})


async def ask(balancer: LoadBalancer, backend_id: str, query: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Ask one backend and nobody else; a failure is a result too."""
    try:
        request, _ = balancer.request(question_of(query, options), hints_of(options))
        reply = await balancer.answer(msgspec.structs.replace(request, pinned=backend_id))
    except Unanswered as error:
        return failed(error)
    result = succeeded(reply)
    if "quota_remaining" in result:
        result["quota_remaining"] = balancer.selection.backends[backend_id].health.probe_details.get(QUOTA)
    return result


def succeeded(reply: Reply) -> dict[str, Any]:
    """An answer as specified; `text` and `citations` are the words and sources, `response` the raw JSON of its kind."""
    answer, usage = reply.answer, reply.answer.usage
    result = {
        "success": True,
        "text": answer.text,
        "citations": [msgspec.to_builtins(citation) for citation in answer.citations],
        "response_time_ms": specified.milliseconds(reply.attempts[-1].duration),
        "tokens_used": total_tokens(usage),
        "cost_estimate": None if reply.cost_source is CostSource.UNPRICED else float(dollars(reply.cost)),
        "cost_source": reply.cost_source.value,
        "response_length": len(answer.text),
        "quality_score": None,
        "backend_id": reply.backend_id,
        "request_id": reply.request_id,
        "attempts": len(reply.attempts),
    }
    return {**result, **(_of_graph(reply) if reply.backend_type is BackendType.LIGHTRAG else _of_chat(reply))}


def _of_chat(reply: Reply) -> dict[str, Any]:
    answer, usage = reply.answer, reply.answer.usage
    envelope = Envelope(request_id=reply.request_id, created=int(time.time()))
    raw = write_chat(reply, Asked(Question(messages=[]), answer.model, None), envelope)
    return {
        "response": msgspec.json.decode(raw),
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "model_used": answer.model,
        "citations_count": len(answer.citations),
        "finish_reason": answer.finish_reason,
        "quota_remaining": None,
    }


def _of_graph(reply: Reply) -> dict[str, Any]:
    """LightRAG tells its answer, its references and their passages; entities, scores and depths it does not."""
    answer = reply.answer
    references = [
        {"reference_id": str(citation.index), "file_path": citation.file or citation.url or citation.title}
        for citation in answer.citations
    ]
    return {
        "response": {"response": answer.text, "references": references},
        "knowledge_sources": [reference["file_path"] for reference in references],
        "entities_extracted": None,
        "relationships_found": None,
        "confidence_score": None,
        "retrieval_score": None,
        "mode_used": answer.model.partition("/")[2] or None,
        "context_used": len(answer.contexts) if answer.contexts else None,
        "graph_traversal_depth": None,
    }


def failed(error: Unanswered) -> dict[str, Any]:
    """A failure as specified: what went wrong, how long it took, and what the upstream's status was if it had one."""
    last = error.attempts[-1] if error.attempts else None
    result = {
        "success": False,
        "error": error.message,
        "error_type": (last.code if last else None) or error.code,
        "response_time_ms": specified.milliseconds(sum(attempt.duration for attempt in error.attempts)),
        "cost_estimate": float(dollars(error.cost)),
        "attempts": len(error.attempts),
    }
    if last is not None and last.status is not None:
        result["http_status"] = last.status
    if error.retry_after is not None:
        result["retry_after_seconds"] = error.retry_after
    return result
