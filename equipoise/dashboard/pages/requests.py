"""The newest requests, each with the reason of its choice; and one request's whole story."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.core.model import NANO_PER_USD
from equipoise.dashboard.markup import Markup, join, tag
from equipoise.dashboard.pages import parts
from equipoise.dashboard.table import Column, Table, drawn, state
from equipoise.dashboard.view import Tables, View, panel
from equipoise.dashboard.wording import instant, number, percent, seconds, usd

DIGITS, MOST_ATTEMPTS, MOST_CANDIDATES = 12, 20, 64
FILES = ("candidates.json", "candidates.csv", "inner.json", "inner.csv")
CANDIDATE = (
    Column("backend_id", "candidate"), Column("chosen", "chosen", "state"), Column("chance", "probability", "percent"),
    Column("score", "score", "number"), Column("cost_usd", "expected cost", "usd"), Column("completion", "expected time", "seconds"),
    Column("quality_mean", "quality", "number"), Column("quality_low", "at least", "number"), Column("health", "health", "number"),
    Column("success_rate", "answers", "percent"), Column("in_flight", "in flight", "number"), Column("effective_weight", "weight", "number"),
)  # fmt: skip
SHOWN = (
    "wall", "request_id", "backend_id", "verdict", "latency", "first_token", "tokens", "cost_usd", "quality", "why", "tenant",
)  # fmt: skip


def draw(tables: Tables, view: View) -> Markup:
    """The tail of the record."""
    table = parts.chosen(tables["requests"], *SHOWN)
    cells = {
        "request_id": lambda row: tag(
            "a",
            short(row["request_id"]),
            href=view.link("requests", row["request_id"]),
            class_="id",
            title=row["request_id"],
        ),
        "backend_id": lambda row: join(
            [
                tag("a", row["backend_id"], href=view.link("backends", backend=row["backend_id"])),
                tag("div", row["model"], class_="note"),
            ]
        ),
        "tenant": _whose,
        "why": _why,
        "verdict": _verdict,
    }
    return panel("Newest first", parts.listed(table, view, "Newest attempts", cells), wide=True)


def short(request_id: str) -> str:
    """The end of an id, where it differs from others."""
    return request_id if len(request_id) <= DIGITS else f"…{request_id[-DIGITS:]}"


def _whose(row: Mapping[str, Any]) -> Markup:
    key = f"{row['key']}, " if row["key"] else ""
    return join([row["tenant"], tag("div", f"{key}{row['route']}", class_="note")])


def _verdict(row: Mapping[str, Any]) -> Markup:
    return join([state(row["verdict"]), tag("div", row["error_code"], class_="note") if row["error_code"] else None])


def _why(row: Mapping[str, Any]) -> Markup:
    decision = row["decision"]
    chances = sorted(decision["probabilities"].items(), key=lambda of: -of[1])[:8]
    told = [tag("li", f"{name}: {percent(chance)}") for name, chance in chances]
    left = [tag("li", f"{name}: not asked, {why}") for name, why in list(decision["excluded"].items())[:8]]
    return tag("details", tag("summary", row["why"] or "why?", title=row["why"]), tag("ul", told, left), class_="prose")


def story(request_id: str, attempts: Sequence[Mapping[str, Any]], view: View) -> Markup:
    """Everything that is known of one request: its attempts in order, each decision with all candidates."""
    inner = [row for row in attempts if row.get("parent") == request_id]
    own = [row for row in attempts if row.get("parent") != request_id]
    links = tag("p", [tag("a", name, href=view.link("requests", request_id, name)) for name in FILES], class_="files")
    return tag(
        "div",
        _summary(own, inner),
        [_attempt(row, view) for row in own[:MOST_ATTEMPTS]],
        _inner(inner, view) if inner else None,
        links,
        class_="grid-of",
    )


def story_table(request_id: str, attempts: Sequence[Mapping[str, Any]], name: str) -> Table | None:
    """The candidates of all attempts, or what its graph asked for it, as a table of its own; None for another name."""
    if name == "candidates":
        rows = [one for row in attempts if row.get("parent") != request_id for one in _compared(row)]
        return Table(name=name, columns=(Column("attempt", "attempt"), *CANDIDATE), rows=rows)
    if name == "inner":
        return _asked(name, [row for row in attempts if row.get("parent") == request_id])
    return None


def _summary(own: Sequence[Mapping[str, Any]], inner: Sequence[Mapping[str, Any]]) -> Markup:
    last = own[-1]
    cost = sum(row["cost"] for row in (*own, *inner)) / NANO_PER_USD
    rows = {
        "Began": instant(own[0]["wall"]), "Answered by": last["backend_id"] if last["verdict"] == "success" else "nobody",
        "Attempts": number(len(own)), "Took": seconds(sum(row["latency"] or 0.0 for row in own)), "Cost": usd(cost),
        "Tenant": last["tenant"], "Key": last["key"] or "–", "Tags": ", ".join(last["tags"]) or "–", "Route": last["route"],
        "Kind of question": last["kind"] or "–", "Session": last["session"] or "–", "Question (hash)": last["question_hash"] or "–",
        "Configuration (hash)": last["config_hash"] or "–",
    }  # fmt: skip
    return panel("In short", facts(rows), wide=True)


def facts(rows: Mapping[str, Any]) -> Markup:
    """Names and values."""
    return tag("dl", [join([tag("dt", name), tag("dd", value)]) for name, value in rows.items()], class_="facts")


def _attempt(row: Mapping[str, Any], view: View) -> Markup:
    decision = row["decision"]
    rows = {
        "Backend": tag("a", row["backend_id"], href=view.link("backends", backend=row["backend_id"])), "Model": row["model"],
        "Came to": state(row["verdict"]), "Status": row["status"], "Error": row["error"] or "–",
        "Took": join([seconds(row["latency"]), f", first token after {seconds(row['first_token'])}" if row["first_token"] else None]),
        "Tokens": f"{number(row['input_tokens'])} in, {number(row['output_tokens'])} out",
        "Cost": f"{usd(row['cost'] / NANO_PER_USD)} ({row['cost_source']})", "Quality": _opinions(row),
        "Strategy": row["strategy"], "Why this backend": decision["reason"] or "–",
        "Chance of this choice": percent(decision["probability"]), "Decided in": seconds(row["decision_seconds"]),
    }  # fmt: skip
    out = [tag("li", f"{name}: {why}") for name, why in decision["excluded"].items()]
    left = tag("div", tag("h3", "Left out"), tag("ul", out)) if out else None
    return panel(f"Attempt {row['number']}", facts(rows), _candidates(row), left, wide=True)


def _opinions(row: Mapping[str, Any]) -> str:
    found = row.get("quality") or []
    if not isinstance(found, list):
        return number(found)
    return ", ".join(f"{number(of['quality'])} ({of['voice']})" for of in found) or "not scored"


def _candidates(row: Mapping[str, Any]) -> Markup:
    rows = _compared(row)[:MOST_CANDIDATES]
    table = Table(name="candidates", columns=CANDIDATE, rows=rows, empty="Nobody else could have been asked.")
    return drawn(table, "Candidates")


def _compared(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    decision = row["decision"]
    chances, compared = decision["probabilities"], decision["compared"]
    return [
        {**one, "attempt": row["number"], "chance": chances.get(one["backend_id"]), "score": compared.get(one["backend_id"]),
         "chosen": "yes" if one["backend_id"] == decision["backend_id"] else None,
         "cost_usd": (one.get("expected_cost") or 0) / NANO_PER_USD}
        for one in decision["candidates"]
    ]  # fmt: skip


def _asked(name: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = (
        Column("request_id", "request"), Column("backend_id", "backend"), Column("kind", "kind"), Column("joined", "joined by"),
        Column("verdict", "came to", "state"), Column("latency", "took", "seconds"), Column("cost_usd", "cost", "usd"),
    )  # fmt: skip
    return Table(name=name, columns=columns, rows=[{**row, "cost_usd": row["cost"] / NANO_PER_USD} for row in rows])


def _inner(rows: Sequence[Mapping[str, Any]], view: View) -> Markup:
    cells = {
        "request_id": lambda row: tag(
            "a", short(row["request_id"]), href=view.link("requests", row["request_id"]), class_="id"
        )
    }
    table = drawn(_asked("inner", rows), "Questions of the graph", cells)
    return panel("What its graph asked for it", table, wide=True)
