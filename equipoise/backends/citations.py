"""Sources of an answer, from the forms upstreams give them in; only web addresses that are safe to click."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from equipoise.core.model import Citation

SNIPPET: Final = 500
"""Characters of a source's text that travel with an answer."""

MOST: Final = 500
"""Sources that one answer may have."""


def safe_url(value: object) -> str | None:
    """The address if it is http(s) with a host and without control characters, else None."""
    if not isinstance(value, str) or len(value) > 8_192 or not value.isprintable():
        return None
    try:
        parts = urlsplit(value.strip())
    except ValueError:
        return None
    return value.strip() if parts.scheme in ("http", "https") and parts.hostname else None


def from_results(results: object) -> list[Citation]:
    """Perplexity's `search_results`: numbered by their `id`, as the text cites them, or else by their place."""
    found: dict[int, Citation] = {}
    for place, result in enumerate(mappings(results)[:MOST], 1):
        if (url := safe_url(result.get("url"))) is not None:
            index = given if (given := _given(result.get("id"))) else place
            _add(found, _of_result(index, url, result))
    return [found[index] for index in sorted(found)]


def _of_result(index: int, url: str, result: Mapping[str, Any]) -> Citation:
    return Citation(
        index=index,
        title=text(result.get("title")),
        url=url,
        snippet=text(result.get("snippet"))[:SNIPPET],
        date=text(result.get("date") or result.get("last_updated")) or None,
    )


def from_urls(urls: object) -> list[Citation]:
    """Perplexity's older `citations`: addresses in the order in which the text counts them."""
    listed = urls[:MOST] if isinstance(urls, list) else []
    pairs = ((index, safe_url(url)) for index, url in enumerate(listed, 1))
    return [Citation(index=index, url=url) for index, url in pairs if url]


def from_annotations(annotations: object) -> list[Citation]:
    """OpenAI's `annotations`, either nested (`url_citation`) or flat, each address once."""
    found: dict[str, Citation] = {}
    for annotation in mappings(annotations)[:MOST]:
        inner = annotation.get("url_citation")
        source = inner if isinstance(inner, Mapping) else annotation
        if (url := safe_url(source.get("url"))) and url not in found:
            found[url] = Citation(index=len(found) + 1, title=text(source.get("title")), url=url)
    return list(found.values())


def from_chat(message: Mapping[str, Any], reply: Mapping[str, Any]) -> list[Citation]:
    """The sources of a chat completion, from the richest form it has."""
    return (
        from_results(reply.get("search_results"))
        or from_annotations(message.get("annotations"))
        or from_urls(reply.get("citations"))
    )


def from_references(references: object) -> list[Citation]:
    """LightRAG's `references`: files, numbered by `reference_id` as the text cites them; a web address keeps its link."""
    found: dict[int, Citation] = {}
    for place, reference in enumerate(mappings(references)[:MOST], 1):
        if path := text(reference.get("file_path")):
            snippet = " ".join(passages(reference.get("content")))[:SNIPPET]
            index = _given(reference.get("reference_id")) or place
            _add(found, Citation(index=index, title=path, url=safe_url(path), file=path, snippet=snippet))
    return [found[index] for index in sorted(found)]


def checked(citations: Iterable[Citation]) -> list[Citation]:
    """Sources that came as such, held to the rules of all others: numbers from 1, addresses that are safe to click."""
    found: dict[int, Citation] = {}
    for citation in list(citations)[:MOST]:
        safe = msgspec.structs.replace(citation, url=safe_url(citation.url))
        if citation.index > 0 and (safe.url or safe.file):
            _add(found, safe)
    return [found[index] for index in sorted(found)]


def passages(content: object) -> list[str]:
    """The texts of one reference: LightRAG 1.4.9 gave one, later ones a list."""
    listed: Sequence[object] = content if isinstance(content, list) else [content]
    return [passage for passage in listed if isinstance(passage, str) and passage]


def _given(number: object) -> int | None:
    """The number an upstream gave a source, if it is one that can stand in a text."""
    if isinstance(number, str) and number.isascii() and number.isdigit():
        number = int(number[:9])
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else None


def _add(found: dict[int, Citation], citation: Citation) -> None:
    """Add a source; one whose number another source already has gets the next free one."""
    taken = found.setdefault(citation.index, citation)
    if (taken.url, taken.file) != (citation.url, citation.file):
        index = max(found) + 1
        found[index] = msgspec.structs.replace(citation, index=index)


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list, and nothing else."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is text, else nothing."""
    return value if isinstance(value, str) else ""


def merged(*lists: Iterable[Citation]) -> list[Citation]:
    """Sources from several places of one answer, each once."""
    found: dict[int, Citation] = {}
    for citations in lists:
        known = {(citation.url, citation.file) for citation in found.values()}
        for citation in citations:
            if (citation.url, citation.file) not in known:
                _add(found, citation)
    return [found[index] for index in sorted(found)]
