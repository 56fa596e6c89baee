"""`equipoise prices ls`, `show` and `diff`: what is charged, and by whose word"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from equipoise.cli.configured import configuration
from equipoise.cli.exits import OK, PROBLEMS, USAGE, Failure
from equipoise.cli.output import Output, as_documents, remark, say, table
from equipoise.core.model import dollars

if TYPE_CHECKING:
    from equipoise.config import BackendConfig, PriceConfig
    from equipoise.core.pricing import Price

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
UNKNOWN = "unknown"
EXAMPLE = (1000, 300)
SHOWN = ("input", "output", "cached_input", "reasoning", "citation", "per_request", "per_search", "allowance")


def ls(*, config: ConfigFile = None, output: Output = None, json: bool = False) -> None:
    """List the price of every backend: dollars per million tokens, per request and per search; contacts nobody.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    output: str
        table (what most have), wide (all), json or yaml.
    json: bool
        Print one JSON document.
    """
    loaded = configuration(config).config
    rows = [_row(name, of, loaded.default_price) for name, of in loaded.backend_instances.items()]
    if not as_documents(rows, output, json):
        columns = [name for name in rows[0] if output == "wide" or any(row[name] is not None for row in rows)]
        table([column.replace("_", " ") for column in columns], [[row[name] for name in columns] for row in rows])
        _mention_unknown(rows)


def show(backend: str, *, config: ConfigFile = None, output: Output = None, json: bool = False) -> None:
    """Show what every source says of one backend, and which one counts.

    Parameters
    ----------
    backend: str
        Its id.
    config: Path
        The file; otherwise the one that `serve` would take.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    of, default = _backend(backend, config)
    prices = _prices(of, default)
    sources = [_written(price) | {"counts": number == 0} for number, price in enumerate(prices)]
    found = {"backend": backend, "model": _model(of), "sources": sources, "example": _example(of, prices)}
    if as_documents(found, output, json):
        return
    say(f"{backend}: {of.backend_type.value}, {_model(of) or 'no model named'}")
    if not sources:
        say("  nobody knows its price: only what it meters itself is booked, the rest is `unpriced`")
        return
    columns = [name for name in sources[0] if any(each[name] is not None for each in sources)]
    table([name.replace("_", " ") for name in columns], [[each[name] for name in columns] for each in sources])
    say(f"a question of {EXAMPLE[0]} tokens with an answer of {EXAMPLE[1]}: ${found['example']} expected")
    say("what the backend itself says it billed counts before all of these, where it can be true")


def diff(*, config: ConfigFile = None, output: Output = None, json: bool = False) -> int:
    """Compare the prices that count with those that are published; exits with 1 where they differ.

    Parameters
    ----------
    config: Path
        The file; otherwise the one that `serve` would take.
    output: str
        table, json or yaml.
    json: bool
        Print one JSON document.
    """
    loaded = configuration(config).config
    prices = {name: _prices(of, loaded.default_price) for name, of in loaded.backend_instances.items()}
    rows = [row for name, known in prices.items() for row in _differences(name, known)]
    if not as_documents(rows, output, json):
        if rows:
            names = ("backend", "field", "counts", "by", "published", "according to", "times")
            table(names, [tuple(row.values()) for row in rows])
        else:
            say("no price that counts differs from a published one")
    return PROBLEMS if rows else OK


def _backend(name: str, config: Path | None) -> tuple[BackendConfig, PriceConfig | None]:
    loaded = configuration(config).config
    backends = loaded.backend_instances
    if name not in backends:
        raise Failure(f"there is no backend {name}; there are {', '.join(backends)}", USAGE)
    return backends[name], loaded.default_price


def _prices(of: BackendConfig, default: PriceConfig | None) -> list[Price]:
    from equipoise.build.prices import every_price

    return every_price(of, default)


def _model(of: BackendConfig) -> str:
    from equipoise.build import model_of

    return model_of(of)


def _row(name: str, of: BackendConfig, default: PriceConfig | None) -> dict[str, Any]:
    prices = _prices(of, default)
    found = next(iter(prices), None)
    told = _written(found) if found else dict.fromkeys(("source", *SHOWN)) | {"source": UNKNOWN}
    return {
        "backend": name,
        "type": of.backend_type.value,
        "model": _model(of),
        **told,
        "example": _example(of, prices),
    }


def _written(price: Price) -> dict[str, Any]:
    """A price in dollars as people write them; what is not charged is left open."""
    amounts = {name: getattr(price, name) for name in SHOWN}
    kept = {name: None if amount is None or (amount == 0 and _is_extra(name)) else plain(amount)
            for name, amount in amounts.items()}  # fmt: skip
    return {"source": price.source, **kept}


def _is_extra(name: str) -> bool:
    return name not in ("input", "output")


def plain(amount: int) -> str:
    """Nano-dollars as dollars without the zeros behind."""
    return dollars(amount).rstrip("0").rstrip(".")


def _example(of: BackendConfig, prices: list[Price]) -> str | None:
    from equipoise.core.backend import HIDDEN_TOKENS
    from equipoise.core.pricing import expected_cost

    found, hidden = next(iter(prices), None), HIDDEN_TOKENS.get(of.backend_type, 0)
    return dollars(expected_cost(found, EXAMPLE[0] + hidden, EXAMPLE[1])) if found else None


def _differences(name: str, prices: list[Price]) -> list[dict[str, Any]]:
    """Where the price that counts says another amount than a published one; a flat rate is no publication."""
    rows: list[dict[str, Any]] = []
    for other in (price for price in prices[1:] if price.source != "cost_per_1k_tokens"):
        for field in SHOWN:
            mine, theirs = getattr(prices[0], field) or 0, getattr(other, field) or 0
            if mine != theirs:
                times = round(mine / theirs, 3) if theirs else None
                row = (name, field, plain(mine), prices[0].source, plain(theirs), other.source, times)
                rows.append(dict(zip(("backend", "field", "counts", "by", "published", "according_to", "times"), row)))  # noqa: B905
    return rows


def _mention_unknown(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if row["source"] == UNKNOWN:
            remark(f"{row['backend']}: nobody knows its price; write `price:` with it, or its cost is `unpriced`")
