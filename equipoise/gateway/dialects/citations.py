"""Citations in the forms clients look for: annotations at their marks, lists of addresses, search results."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from equipoise.core.model import Citation

MAX_SLOTS = 1_000
MAX_MARKS = 2_000
"""Annotations of one answer: a text of nothing but marks would become forty times its size."""


def address(citation: Citation) -> str:
    """Where the source is: its URL, else its file name in a form that no browser takes for more than a relative link."""
    return citation.url or _relative(citation.file or "")


def _relative(file: str) -> str:
    """A colon before the first slash would make a scheme of what stands before it (RFC 3986, 4.2)."""
    first, slash, rest = file.partition("/")
    return first.replace(":", "%3A") + slash + rest


def marks(text: str, citation: Citation) -> Iterator[tuple[int, int]]:
    """Every place where `[n]` stands in the text, as (start, end)."""
    mark = f"[{citation.index}]"
    start = text.find(mark)
    while start >= 0:
        yield start, start + len(mark)
        start = text.find(mark, start + len(mark))


def url_citations(text: str, citations: list[Citation]) -> list[dict[str, Any]]:
    """One flat annotation a mark; a source the text never marks gets an empty span at its end, so that none is lost.

    Each source has its share of MAX_MARKS; marks beyond are told by the text alone.
    """
    each = max(1, MAX_MARKS // max(1, len(citations)))
    return [
        {"type": "url_citation", "start_index": start, "end_index": end, "url": address(c), "title": c.title}
        for c in citations
        for start, end in list(islice(marks(text, c), each)) or [(len(text), len(text))]
    ]


def chat_annotations(text: str, citations: list[Citation]) -> list[dict[str, Any]]:
    """The same in the chat completions form, where the details sit under `url_citation`."""
    flat = url_citations(text, citations)
    return [{"type": a.pop("type"), "url_citation": a} for a in flat]


def addresses(citations: list[Citation]) -> list[str]:
    """Addresses such that `[n]` is entry n - 1, as Perplexity's clients read them; a missing number leaves an empty entry."""
    last = max((c.index for c in citations), default=0)
    if last > MAX_SLOTS or min((c.index for c in citations), default=1) < 1:
        return [address(c) for c in citations]
    slots = [""] * last
    for citation in citations:
        slots[citation.index - 1] = slots[citation.index - 1] or address(citation)
    return slots


def search_results(citations: list[Citation]) -> list[dict[str, Any]]:
    """Perplexity's `search_results`. A document has no source (its package admits `web` only) and names its `file`."""
    return [
        {
            "id": c.index,
            "title": c.title,
            "url": address(c),
            "snippet": c.snippet,
            "date": c.date,
            "last_updated": None,
            "source": "web" if c.url else None,
        }
        | ({"file": c.file} if c.file else {})
        for c in citations
    ]
