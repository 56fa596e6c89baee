"""Words that are kept, where an operator wants it."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.build.objects import function_named
from equipoise.config import Config
from equipoise.config.content import ContentConfig, TenantContentConfig
from equipoise.core.redaction import redact, without_persons
from equipoise.stores.contents import DAY, FILE, Contents, Terms


def contents_of(config: Config, on_error: Callable[[str], None]) -> Contents | None:
    """None where nobody's words are kept. Raises StoreError; ImportError, AttributeError or ValueError for `redact`."""
    of = config.content
    terms = {tenant: _terms(said, of) for tenant, said in of.tenants.items()}
    default = Terms(of.default, of.keep_days * DAY)
    if all(each.mode == "none" for each in (default, *terms.values())):
        return None
    return Contents(config.state_path / FILE, terms, default, redact=_redaction(of.redact), on_error=on_error)


def _terms(said: TenantContentConfig, of: ContentConfig) -> Terms:
    days = of.keep_days if said.keep_days is None else said.keep_days
    return Terms(said.content, days * DAY)


def _redaction(name: str | None) -> Callable[[str], str]:
    """Keys and persons are masked first; what is left is the operator's own function's to judge."""
    own = None if name is None else function_named(name)
    if own is not None and not callable(own):
        raise ValueError(f"content.redact: {name} cannot be called")

    def redacted(text: str) -> str:
        masked = without_persons(redact(text))
        return masked if own is None else own(masked)

    return redacted
