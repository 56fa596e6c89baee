"""`equipoise keys create`, `ls`, `revoke` and `rotate`: in the state store, effective in running gateways at once"""

from __future__ import annotations

import json as json_
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from equipoise.cli.agreeing import agree
from equipoise.cli.configured import configuration
from equipoise.cli.exits import USAGE, Failure
from equipoise.cli.key_stores import is_operators, noted, opened, require, stored, who
from equipoise.cli.output import Output, as_documents, remark, say, table
from equipoise.cli.times import duration, moment

if TYPE_CHECKING:
    from equipoise.config import Config
    from equipoise.stores.keys import StoredKey

ConfigFile = Annotated[Path | None, Parameter(name=["--config", "-c"])]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
LATER = re.compile(r"\d+(\.\d+)?[smhdw]")


def create(
    name: str,
    /,
    *,
    tenant: str = "default",
    routes: str = "",
    strategies: str = "",
    budgets: str = "",
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    data_class: str = "",
    expires: str | None = None,
    role: Literal["view", "operate", "admin"] | None = None,
    dry_run: bool = False,
    config: ConfigFile = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Make a key and print it, this once; it is stored as a digest only.

    Clients ask questions with it; with --role it is a person's key for the admin listener instead.

    Parameters
    ----------
    name: str
        What it is called in lists and in the ledger; never used twice.
    tenant: str
        Whom its questions are counted for.
    routes: str
        Routes it may ask, and backends it may ask by name, separated by commas; all of them when absent.
    strategies: str
        Strategies it may use; all of them when absent.
    budgets: str
        Budgets that count what it spends.
    requests_per_minute: int
        Questions it may ask in any minute.
    tokens_per_minute: int
        Tokens it may use in any minute.
    data_class: str
        What all its questions hold, separated by commas: only backends whose `allows` names it are asked.
    expires: str
        After how long (90d) or when (2027-01-01, UTC) it stops being good.
    role: Literal["view", "operate", "admin"]
        A key for the admin listener: view looks, operate also drains, weighs, pauses and rolls back, admin may everything.
    dry_run: bool
        Only say what would be made.
    config: Path
        The configuration whose gateway is meant; otherwise the one that `serve` would take.
    output: str
        json or yaml: the key with its terms; without it the secret alone.
    json: bool
        Print one JSON document.
    """
    from equipoise.core.callers import Role
    from equipoise.stores.keys import StoredKey

    loaded = configuration(config, quiet=True).config
    _check(name, loaded, _names(routes), _names(strategies), requests_per_minute, tokens_per_minute)
    key = StoredKey(
        name=name,
        tenant=tenant,
        routes=_names(routes),
        strategies=_names(strategies),
        budgets=_names(budgets) or (),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        data_class=_data_classes(data_class, loaded),
        expires=_end(expires),
        role=Role(role) if role else None,
    )
    if role and key != StoredKey(name=name, role=key.role, expires=key.expires):
        raise Failure("a key for the admin listener asks no questions, so it has no terms but --expires", USAGE)
    if dry_run:
        say(json_.dumps(shown(key), indent=2))
        return
    with opened(loaded, operators=role is not None) as store:
        secret, made = store.create(key, who())
    noted(
        loaded,
        "create",
        name,
        role=role,
        tenant=tenant,
        expires=key.expires,
        routes=key.routes,
        data_class=key.data_class,
    )
    _tell(secret, made, output, json=json)


def ls(*, everything: Annotated[bool, Parameter(name="--all")] = False, config: ConfigFile = None,
       output: Output = None, json: bool = False) -> None:  # fmt: skip
    """List the keys: those of the configuration and those made here; none is shown in full.

    Parameters
    ----------
    everything: bool
        Revoked and expired ones too.
    config: Path
        The configuration whose gateway is meant; otherwise the one that `serve` would take.
    output: str
        table, wide (all columns), json or yaml.
    json: bool
        Print one JSON document.
    """
    loaded = configuration(config, quiet=True).config
    rows = _configured(loaded)
    rows += [shown(key) for operators in (False, True) for key in stored(loaded, operators=operators)]
    rows = [row for row in rows if everything or row["state"] == "good"]
    if as_documents(rows, output, json):
        return
    if not rows:
        remark("no keys: the gateway serves this machine only, and everybody on it")
        return
    few = ("name", "key", "role", "tenant", "state", "expires", "routes", "strategies")
    columns = [name for name in rows[0] if output == "wide" or name in few]
    table([name.replace("_", " ") for name in columns], [[_cell(row[name]) for name in columns] for row in rows])


def revoke(name: str, /, *, yes: bool = False, dry_run: bool = False, config: ConfigFile = None) -> None:
    """Make a key worthless for ever; running gateways refuse it within a second.

    Parameters
    ----------
    name: str
        The key's name.
    yes: bool
        Do not ask.
    dry_run: bool
        Only say what would be done.
    config: Path
        The configuration whose gateway is meant; otherwise the one that `serve` would take.
    """
    loaded = configuration(config, quiet=True).config
    agree(yes or dry_run, f"The key {name} will be refused from now on, for ever.")
    with opened(loaded, operators=is_operators(name, loaded)) as store:
        require(store, name, loaded)
        if dry_run:
            say(f"{name}: would be revoked")
            return
        store.revoke(name, who())
    noted(loaded, "revoke", name)
    say(f"{name}: revoked")


def rotate(
    name: str,
    /,
    *,
    grace: str = "24h",
    dry_run: bool = False,
    config: ConfigFile = None,
    output: Output = None,
    json: bool = False,
) -> None:
    """Give a key a new secret and print it, this once; the former one stays good for a while.

    Parameters
    ----------
    name: str
        The key's name.
    grace: str
        How long the former secret stays good: 24h, 30m, 0s.
    dry_run: bool
        Only say what would be done.
    config: Path
        The configuration whose gateway is meant; otherwise the one that `serve` would take.
    output: str
        json or yaml: the key with its terms; without it the secret alone.
    json: bool
        Print one JSON document.
    """
    loaded, seconds = configuration(config, quiet=True).config, duration(grace)
    with opened(loaded, operators=is_operators(name, loaded)) as store:
        require(store, name, loaded)
        if dry_run:
            say(f"{name}: would get a new secret; the former one would stay good for {grace}")
            return
        secret, made = store.rotate(name, seconds, who())
    noted(loaded, "rotate", name, grace=grace)
    _tell(secret, made, output, json=json)
    remark(f"the former secret stays good for {grace}")


def stored_keys(config: Config) -> bool:
    """Has the state store ever held a key of a client? Raises Failure where it cannot be read."""
    return bool(stored(config))


def stored_admin_keys(config: Config) -> bool:
    """Has the state store ever held a key for the admin listener? Raises Failure where it cannot be read."""
    return bool(stored(config, operators=True))


def shown(key: StoredKey) -> dict[str, Any]:
    """A key as a row; of its secrets only what tells them apart."""
    now = time.time()
    over = key.revoked is not None, key.expires is not None and key.expires <= now
    return {
        "name": key.name,
        "key": key.secrets[0].hint if key.secrets else None,
        "role": key.role.value if key.role else None,
        "tenant": None if key.role else key.tenant,
        "state": "revoked" if over[0] else "expired" if over[1] else "good",
        "created": _date(key.created or None),
        "expires": _date(key.expires),
        "routes": list(key.routes) if key.routes is not None else None,
        "strategies": list(key.strategies) if key.strategies is not None else None,
        "budgets": list(key.budgets),
        "requests_per_minute": key.requests_per_minute,
        "tokens_per_minute": key.tokens_per_minute,
        "data_class": list(key.data_class),
        "former_secret_until": _date(
            max((s.until for s in key.secrets[1:] if s.until and s.until > now), default=None)
        ),
        "from": "state store",
    }


def _configured(config: Config) -> list[dict[str, Any]]:
    from equipoise.stores.keys import StoredKey

    rows = []
    for name, of in config.keys.items():
        key = StoredKey(
            name=name, tenant=of.tenant, routes=of.routes, strategies=of.strategies, budgets=of.budgets,
            requests_per_minute=of.requests_per_minute, tokens_per_minute=of.tokens_per_minute, expires=of.expires_at,
            data_class=of.data_class,
        )  # fmt: skip
        rows.append(shown(key) | {"from": "configuration"})
    for name, person in config.admin_keys.items():
        key = StoredKey(name=name, role=person.role, expires=person.expires_at)
        rows.append(shown(key) | {"from": "configuration"})
    return rows


def _check(
    name: str, config: Config, routes: tuple[str, ...] | None, strategies: tuple[str, ...] | None, *limits: int | None
) -> None:
    """Refuse a key that could never do what was meant. Raises Failure."""
    from equipoise.config.rules import STRATEGIES

    if not NAME.fullmatch(name):
        raise Failure(f"{name!r} is no name for a key", USAGE, "letters, digits and . _ @ -, up to 64")
    if name in config.keys or name in config.admin_keys:
        raise Failure(f"the configuration has a key {name} already", USAGE)
    if any(key.name == name for operators in (False, True) for key in stored(config, operators=operators)):
        raise Failure(f"there is or was a key {name} already; ledger and journal know keys by name", USAGE)
    known = {"auto", *config.routes, *config.backend_instances}
    if unknown := [route for route in routes or () if route not in known]:
        raise Failure(f"there is no route or backend {', '.join(unknown)}", USAGE, f"known: {', '.join(sorted(known))}")
    if unknown := [each for each in strategies or () if each not in STRATEGIES and ":" not in each]:
        raise Failure(f"there is no strategy {', '.join(unknown)}", USAGE, f"known: {', '.join(STRATEGIES)}")
    if any(limit is not None and limit <= 0 for limit in limits):
        raise Failure("a limit by the minute is above 0", USAGE)


def _data_classes(said: str, config: Config) -> tuple[str, ...]:
    """Raises Failure for what is no name, or what nobody could answer."""
    from equipoise.core.data_classes import read

    if not said:
        return ()
    try:
        classes = read(said)
    except ValueError as error:
        raise Failure(f"--data-class {error}", USAGE) from None
    if not any(classes <= set(of.allows) for of in config.backend_instances.values()):
        raise Failure(f"no backend allows {', '.join(sorted(classes))}: nobody could answer", USAGE, "see `allows`")
    return tuple(sorted(classes))


def _names(said: str) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in said.split(",") if name.strip()) or None


def _end(said: str | None) -> float | None:
    """When a key ends: so long from now, or at a moment to come. Raises Failure."""
    if said is None:
        return None
    end = time.time() + duration(said) if LATER.fullmatch(said.strip()) else moment(said)
    if end <= time.time():
        raise Failure(f"{said} is over already", USAGE)
    return end


def _date(when: float | None) -> str | None:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds") if when is not None else None


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _tell(secret: str, made: StoredKey, output: str | None, *, json: bool) -> None:
    """The secret alone to stdout, so that a script can take it."""
    if as_documents({"secret": secret, **shown(made)}, output, json):
        return
    say(secret)
    what = f"role {made.role.value}" if made.role else f"tenant {made.tenant}"
    remark(f"{made.name}, {what}: keep it now, it is shown this once")
