"""What each backend charges, as far as anybody knows."""

from __future__ import annotations

from collections.abc import Mapping

from equipoise.build.listed import listed_price
from equipoise.config import BackendConfig, Config, PriceConfig
from equipoise.core.backend import EMBEDDINGS, HIDDEN_TOKENS, LLM_VIA
from equipoise.core.model import BackendType
from equipoise.core.overlay import price_for
from equipoise.core.pricing import Price, price_from_dollars
from equipoise.stores.savings import Alternative

DEFAULT = "default"
"""The word for a price that the operator assumes where nobody knows one."""
LISTED = (BackendType.OPENAI_DIRECT, BackendType.PERPLEXITY)


def price_of(config: BackendConfig, default: PriceConfig | None = None) -> Price | None:
    """The price of a backend as configured or published, else the `default` one; None when nobody knows it."""
    found = _known_price(config)
    if found is None and default is not None:
        return price_from_dollars(default.model_dump(exclude_none=True), DEFAULT)
    return found


def _known_price(config: BackendConfig) -> Price | None:
    option = config.price.model_dump(exclude_none=True) if config.price else None
    search = config.extra_body.get("web_search_options") or config.extra_body
    told = search if isinstance(search, Mapping) else {}
    if config.llm_via and option is None:
        return Price(source=LLM_VIA)
    return price_for(
        config.backend_type,
        config.model or "",
        config.api,
        option,
        config.cost_per_1k_tokens,
        search_context_size=str(told.get("search_context_size", "low")),
        search_type=str(told.get("search_type", "fast")),
        listed=lambda: published_price(config),
    )


def published_price(config: BackendConfig) -> Price | None:
    """What genai-prices says of exactly this provider and model, if it knows them; a preset may run any model."""
    if config.backend_type not in LISTED or not config.model or not config.endpoint_url or config.preset:
        return None
    return listed_price(config.endpoint_url, config.model)


def every_price(config: BackendConfig, default: PriceConfig | None = None) -> list[Price]:
    """What each source says, most trustworthy first; the first is the one that counts."""
    without_own = config.model_copy(update={"price": None})
    flat = price_for("", cost_per_1k_tokens=config.cost_per_1k_tokens)
    found = [price_of(config, default), price_of(without_own), published_price(config), flat]
    return list({price.source: price for price in found if price is not None}.values())


def alternatives_of(config: Config) -> dict[str, Alternative]:
    """Each backend that answers questions, as it might have answered others' too."""
    return {
        name: Alternative(
            price=_own_price(of, config.default_price), hidden_tokens=HIDDEN_TOKENS.get(of.backend_type, 0)
        )
        for name, of in config.backend_instances.items()
        if of.supports != {EMBEDDINGS}
    }


def default_backend(config: Config) -> str:
    """Whom the operator calls the default: named, or the first that answers questions."""
    return config.ledger.default_backend or next(iter(alternatives_of(config)), "")


def _own_price(of: BackendConfig, default: PriceConfig | None) -> Price | None:
    """A graph that asks through us has no price of its own: only its answers show what it costs."""
    price = price_of(of, default)
    return None if price is not None and price.source == LLM_VIA else price
