"""What the author of a valid configuration should know: limits that cap traffic, keys that are missing or go abroad."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from equipoise.config.backend import IMPLIED, KEY_VARIABLES, BackendConfig
from equipoise.config.pending import given_without_effect
from equipoise.config.schema import Config
from equipoise.config.sections import RouteConfig
from equipoise.config.tree import Tree

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def on(config: Config, tree: Tree) -> list[str]:
    """One sentence each, in the order of the backends."""
    notes = given_without_effect(tree)
    for backend in config.backend_instances.values():
        notes += [f"backend_instances.{backend.id}: {note}" for note in _on_backend(backend, tree)]
    if config.shared.postgres is not None and config.ledger.path is not None:
        notes.append("ledger.path: without effect, records go to shared.postgres")
    return notes + list(_on_routes(config))


def _on_routes(config: Config) -> Iterator[str]:
    """Other documents are no replica: which of them answers should be the author's wish, not the strategy's."""
    for name, route in (config.routes or {"auto": RouteConfig()}).items():
        members = [config.backend_instances[member] for member in route.backends or config.backend_instances]
        corpora = sorted({member.corpus for member in members if member.corpus})
        if len(corpora) > 1:
            held = " and ".join(corpora)
            yield (
                f"routes.{name}: each question is answered from one of {held}, as its strategy chooses; "
                "to decide that, name one corpus in backends and the others in fallback"
            )


def _on_backend(backend: BackendConfig, tree: Tree) -> Iterator[str]:
    kind = backend.backend_type.value
    host = urlsplit(backend.endpoint_url or "").hostname or ""
    home = urlsplit(IMPLIED[kind].get("endpoint_url", "")).hostname
    if home and host == home and backend.api_key is None:
        yield f"has no key: set {KEY_VARIABLES[kind]} or api_key"
    if kind in ("openai_direct", "local_llm") and backend.model is None:
        yield "has no model: it is asked for the one its client names"
    place = tree.said(("backend_instances", backend.id, "api_key"))
    url_from_file = not tree.said(("backend_instances", backend.id, "endpoint_url")).startswith("$")
    if home and place.startswith("$") and url_from_file and host not in (home, *LOOPBACK):
        yield f"the key in {place} is sent to {host}: write api_key to say that it should be, or another one"
    if backend.max_requests_per_minute is not None:
        yield f"at most {backend.max_requests_per_minute} requests a minute (max_requests_per_minute)"
    if backend.max_concurrent_requests is not None:
        yield f"at most {backend.max_concurrent_requests} requests at once (max_concurrent_requests)"
