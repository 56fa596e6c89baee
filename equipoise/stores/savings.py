"""What was spent, and what the same questions would have cost if one backend had answered all of them.

The saving is measured against two alternatives: everything to the dearest backend, and everything to the configured
default. What a question would have cost elsewhere is estimated from its record:

  its own tokens, as counted when it came, and what that engine adds to a question (the mean over its own answers of
  the period; before it has any, what is assumed of its kind),
  as many output tokens as the answer that was given,
  at that backend's price of today with its fees, times how much its own answers cost beside the same estimate.

An answer that the backend did give counts as what it did cost. Failed attempts, hedges and judges are in what was
spent and in no alternative, so the saving is rather too small. Answers without output tokens (embeddings) count in both
as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from equipoise.core.model import NanoUSD, dollars
from equipoise.core.pricing import Price, expected_cost
from equipoise.stores.database import Connection
from equipoise.stores.reports import GROUPS, Wanted, condition_of

BY = ("day", "month", "backend", "tenant", "key", "tag", "route", "kind")
"""What a report can be grouped by; a question counts once for each of its tags."""


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """A backend as it might have answered: its price if anybody knows it, and the tokens its kind adds to a question."""

    price: Price | None
    hidden_tokens: int = 0


class _Profile(msgspec.Struct):
    """What a backend's own answers of the period show."""

    answers: int = 0
    hidden: int = 0
    cost: int = 0
    estimate: int = 0


class _Sums(msgspec.Struct):
    """One group: answers, and for each backend what all of them would have cost there."""

    answers: int = 0
    elsewhere: dict[str, int] = {}


class Estimator:
    """What a recorded answer would have cost at each backend; `unknown` are those of which nobody can tell."""

    def __init__(self, alternatives: Mapping[str, Alternative], profiles: Mapping[str, _Profile]) -> None:
        self._alternatives, self._profiles = dict(alternatives), dict(profiles)
        self.known = [name for name in alternatives if self._is_known(name)]
        self.unknown = [name for name in alternatives if name not in self.known]

    def _is_known(self, name: str) -> bool:
        profile = self._profiles.get(name)
        return self._alternatives[name].price is not None or (profile is not None and profile.answers > 0)

    def cost(self, name: str, question_tokens: int, output_tokens: int) -> NanoUSD:
        """The estimate for a backend that did not answer."""
        price, profile = self._alternatives[name].price, self._profiles.get(name) or _Profile()
        if price is None:
            return profile.cost // profile.answers
        plain = expected_cost(price, question_tokens + self._hidden(name), output_tokens)
        return plain * profile.cost // profile.estimate if profile.estimate and profile.cost else plain

    def _hidden(self, name: str) -> int:
        profile = self._profiles.get(name)
        return (
            profile.hidden // profile.answers if profile and profile.answers else self._alternatives[name].hidden_tokens
        )


def report(
    connection: Connection,
    wanted: Wanted,
    alternatives: Mapping[str, Alternative],
    default: str,
    by: Sequence[str] = ("day",),
) -> dict[str, Any]:
    """Rows by group and their total, with both savings; raises KeyError for what is no group or no backend."""
    if default not in alternatives or any(name not in BY for name in by):
        raise KeyError(default if default not in alternatives else str(by))
    estimator = Estimator(alternatives, _profiles(connection, wanted, alternatives))
    groups = _answers(connection, wanted, by, estimator)
    whole = _answers(connection, wanted, (), estimator).get((), _Sums())
    dearest = max(estimator.known, key=lambda name: (whole.elsewhere.get(name, 0), name), default=None)
    spent = _spent(connection, wanted, by)
    rows = [_row(by, key, spent.get(key, 0), groups.get(key, _Sums()), dearest, default)
            for key in sorted(spent.keys() | groups.keys(), key=str)]  # fmt: skip
    total = _row((), (), _spent(connection, wanted, ()).get((), 0), whole, dearest, default)
    return {
        "by": list(by),
        "dearest": dearest,
        "default": default,
        "unknown": estimator.unknown,
        "rows": rows,
        "total": total,
        "not_in_it": _taken_out(connection, wanted),
    }


def _row(
    by: Sequence[str], key: tuple[Any, ...], spent: NanoUSD, sums: _Sums, dearest: str | None, default: str
) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(by, key, strict=True))
    row |= {"answers": sums.answers, "spent_usd": dollars(spent)}
    for name, backend in (("dearest", dearest), ("default", default)):
        there = sums.elsewhere.get(backend) if backend else None
        row[f"all_to_{name}_usd"] = None if there is None else dollars(there)
        row[f"saved_against_{name}_usd"] = None if there is None else dollars(there - spent)
        row[f"saved_against_{name}_percent"] = round(100 * (there - spent) / there, 2) if there else None
    return row


_OWN = "SELECT backend_id FROM attempts AS graph WHERE graph.request_id = attempts.parent AND graph.inner_calls > 0 LIMIT 1"
_GROUPS = {name: GROUPS[name] for name in BY} | {"backend": f"COALESCE(({_OWN}), attempts.backend_id)"}
"""A graph's own questions are spent for the graph's answer."""


def _select(by: Sequence[str]) -> tuple[str, str]:
    """The groups as columns, and where the records come from."""
    source = "attempts, json_each(attempts.tags) AS tag" if "tag" in by else "attempts"
    return "".join(f"{_GROUPS[name]}, " for name in by), source


def _spent(connection: Connection, wanted: Wanted, by: Sequence[str]) -> dict[tuple[Any, ...], NanoUSD]:
    """Everything that was booked, whatever for."""
    (columns, source), (condition, values) = _select(by), condition_of(wanted)
    numbers = ", ".join(str(number + 1) for number in range(len(by)))
    sql = f"SELECT {columns}SUM(attempts.cost) FROM {source} WHERE {condition}"  # noqa: S608 - our own words
    sql += f" GROUP BY {numbers}" if by else ""
    return {tuple(row)[:-1]: row[-1] or 0 for row in connection.execute(sql, values)}


_ANSWER = "attempts.verdict = 'success' AND attempts.parent IS NULL AND attempts.output_tokens > 0"


def _profiles(connection: Connection, wanted: Wanted, alternatives: Mapping[str, Alternative]) -> dict[str, _Profile]:
    condition, values = condition_of(wanted)
    sql = f"""SELECT backend_id, question_tokens, input_tokens, output_tokens, cost + inner_cost FROM attempts
        WHERE {condition} AND {_ANSWER}"""  # noqa: S608
    rows = connection.execute(sql, values).fetchall()
    found: dict[str, _Profile] = {}
    for name, question, given, _, cost in rows:
        profile = found.setdefault(name, _Profile())
        profile.answers += 1
        profile.hidden += max(0, given - question)
        profile.cost += cost
    for name, question, _, output, _ in rows:
        price = alternatives[name].price if name in alternatives else None
        if price is not None:
            profile = found[name]
            profile.estimate += expected_cost(price, question + profile.hidden // profile.answers, output)
    return found


def _answers(
    connection: Connection, wanted: Wanted, by: Sequence[str], estimator: Estimator
) -> dict[tuple[Any, ...], _Sums]:
    (columns, source), (condition, values) = _select(by), condition_of(wanted)
    sql = f"""SELECT {columns}attempts.backend_id, question_tokens, output_tokens, cost + inner_cost FROM {source}
        WHERE {condition} AND {_ANSWER}"""  # noqa: S608
    found: dict[tuple[Any, ...], _Sums] = {}
    for row in connection.execute(sql, values):
        *key, answered_by, question, output, cost = row
        sums = found.setdefault(tuple(key), _Sums())
        sums.answers += 1
        for name in estimator.known:
            there = cost if name == answered_by else estimator.cost(name, question, output)
            sums.elsewhere[name] = sums.elsewhere.get(name, 0) + there
    return found


def _taken_out(connection: Connection, wanted: Wanted) -> dict[str, Any]:
    """What retention has removed from the period: its cost is still known, its questions are not."""
    sql = "SELECT COALESCE(SUM(attempts), 0), COALESCE(SUM(cost), 0) FROM retired WHERE (day + 1) * 86400.0 > ? AND day * 86400.0 < ?"
    attempts, cost = connection.execute(sql, (wanted.since, wanted.until)).fetchone()
    return {"attempts": attempts, "cost_usd": dollars(cost)}
