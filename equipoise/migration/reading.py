"""What an old router returns, in whatever shape: an answer, or only the decision who should answer."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from equipoise.backends.base import BackendError
from equipoise.core.model import Answer, Citation, Verdict

TEXTS = ("response", "answer", "text", "content", "result")
DECISIONS = ("routing_decision", "decision")
BACKENDS = ("backend_id", "selected_backend", "backend")
CITATIONS = ("citations", "references", "sources")
MOST_CITATIONS = 100


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """An old router's result in one form; `text` is None when it decided without answering. `original` is what it gave."""

    text: str | None = None
    routing_decision: str | None = None
    backend_id: str | None = None
    confidence: float | None = None
    reasoning: tuple[str, ...] = ()
    citations: tuple[Citation, ...] = ()
    original: Any = None

    @property
    def answer(self) -> Answer:
        """The answer, for a result that holds one."""
        return Answer(text=self.text or "", citations=list(self.citations))


def read_result(result: object) -> Prediction:
    """Read text, a mapping, an Answer, a (backend, confidence) pair or any object with such attributes.

    Raises BackendError for a mapping that reports its own failure (`success` false), and for what says nothing at all.
    """
    if isinstance(result, str):
        return Prediction(text=result, original=result)
    if isinstance(result, Answer):
        return Prediction(text=result.text, citations=tuple(result.citations), original=result)
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], str):
        return Prediction(backend_id=result[0], confidence=_number(result[1]), original=result)
    _refuse_reported_failure(result)
    found = _read(result)
    if found.text is None and found.routing_decision is None and found.backend_id is None:
        kind = type(result).__name__
        raise BackendError(Verdict.FAILURE, f"the old side returned a {kind} with neither answer nor decision")
    return found


def _read(result: object) -> Prediction:
    metadata = _get(result, "metadata")
    reasoning = _get(result, "reasoning") or ()
    return Prediction(
        text=_text(result),
        routing_decision=_word(_first(result, DECISIONS)),
        backend_id=_word(_first(result, BACKENDS) or _first(metadata, BACKENDS)),
        confidence=_number(_get(result, "confidence")),
        reasoning=(reasoning,) if isinstance(reasoning, str) else tuple(map(str, reasoning)),
        citations=tuple(_citations(_first(result, CITATIONS))),
        original=result,
    )


def _refuse_reported_failure(result: object) -> None:
    if _get(result, "success") is False:
        error = str(_get(result, "error") or "it reported a failure without a reason")
        raise BackendError(Verdict.FAILURE, f"the old side failed: {error[:300]}")


def _text(result: object) -> str | None:
    """The words of an answer, plain or inside an OpenAI-shaped body."""
    if isinstance(choices := _get(result, "choices"), list | tuple) and choices:
        content = _get(_get(choices[0], "message"), "content")
        return content if isinstance(content, str) else None
    for name in TEXTS:
        value = _get(result, name)
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping):
            return _text(value)
    return None


def _get(result: object, name: str) -> Any:
    return result.get(name) if isinstance(result, Mapping) else getattr(result, name, None)


def _first(result: object, names: tuple[str, ...]) -> Any:
    return next((value for name in names if (value := _get(result, name)) is not None), None)


def _word(value: object) -> str | None:
    plain = value.value if isinstance(value, enum.Enum) else value
    return str(plain).lower() if isinstance(plain, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _citations(found: Any) -> list[Citation]:
    items = found if isinstance(found, list | tuple) else ()
    return [_citation(index, item) for index, item in enumerate(items[:MOST_CITATIONS], start=1)]


def _citation(index: int, item: object) -> Citation:
    if isinstance(item, str):
        return Citation(index, url=item) if item.startswith("http") else Citation(index, title=item)
    title, url, file = (_get(item, name) for name in ("title", "url", "file_path"))
    return Citation(index, title=str(title or ""), url=str(url) if url else None, file=str(file) if file else None)
