"""What people do at the admin listener is written down: who, what, on what, before and after, when, what came of it.

    GET /admin/audit?since=7d&who=ann&limit=100   the newest entries first, and whether the journal is whole

An action is done even where it cannot be written down (a sick backend is drained on a full disk too); the entry then
stands in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, unquote

import msgspec

from equipoise.core.callers import Caller
from equipoise.core.gcra import Rate
from equipoise.core.redaction import printable, redact
from equipoise.gateway.headers import clean
from equipoise.gateway.people import LOOKED_AT, READING
from equipoise.gateway.problems import Problem
from equipoise.http import Request, Response
from equipoise.stores.audit import AuditEntry, AuditStore
from equipoise.stores.sqlite import StoreError
from equipoise.stores.times import moment

Snapshot: TypeAlias = Callable[[], Mapping[str, Any]]
AUDIT = "/admin/audit"
SAID_BY = b"x-equipoise-who"
STRANGER, UNCHANGED = "", "unchanged"
TEXTS = frozenset({"name", "id", "receiver", "who", "why", "amount"})
NAMING = frozenset({("set", dict), ("settings", dict), ("unset", list)})
"""Where a body names fields, and as what."""
LONGEST, MOST_NAMES, MOST_ENTRIES, MOST_CHANGED = 200, 50, 1_000, 100
REFUSED_A_MINUTE, MOST_REFUSED = 10, 1_000


class Auditor:
    """Watches actions and appends them; `snapshot` gives what may change, flat and without secrets.

    Of refusals a person (strangers count as one) gets a bounded number a minute written down, so that nobody can push out
    what was done by what was tried.
    """

    def __init__(
        self,
        store: AuditStore,
        snapshot: Snapshot = dict,
        on_trouble: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._snapshot, self._on_trouble, self._clock = store, snapshot, on_trouble, clock
        self._rates: dict[str, Rate] = {}
        self._writing: set[asyncio.Task[None]] = set()

    async def refused(self, request: Request, request_id: str, person: Caller | None, problem: Problem) -> None:
        """Write down what somebody was not let do."""
        if self._may_be_refused_again(person.key if person else STRANGER):
            await self._note(_entry(request, request_id, person, _problem(problem)))

    async def watched(
        self, request: Request, request_id: str, person: Caller, act: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Do it and write it down, whatever comes of it; what only looks is not written down."""
        if request.method in READING or request.path in LOOKED_AT:
            return await act()
        before, outcome = self._snapshot(), "failed: internal_error"
        try:
            response = await act()
            outcome = _outcome(request, response)
            return response
        except Problem as problem:
            outcome = _problem(problem)
            raise
        except asyncio.CancelledError:
            outcome = "cut: the client went away"
            raise
        finally:
            entry = _entry(request, request_id, person, outcome)
            await self._note(msgspec.structs.replace(entry, changed=_changed(before, self._snapshot())))

    async def around(
        self, who: str, action: str, target: str, act: Callable[[], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Do what no request asked for and write it down, unless it changed nothing. Raises what `act` does."""
        before, outcome = self._snapshot(), "failed: internal_error"
        try:
            told = await act()
            outcome = str(told.get("outcome", "done"))
            return told
        except Problem as problem:
            outcome = _problem(problem)
            raise
        finally:
            if outcome != UNCHANGED:
                changed = _changed(before, self._snapshot())
                await self._note(
                    AuditEntry(who=who, action=action, target=_shown(target), outcome=outcome, changed=changed)
                )

    async def _note(self, entry: AuditEntry) -> None:
        task = asyncio.ensure_future(self._append(entry))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        await asyncio.shield(task)

    async def _append(self, entry: AuditEntry) -> None:
        try:
            await asyncio.to_thread(self._store.append, entry)
        except StoreError as error:
            self._on_trouble(f"{error}; not written down: {msgspec.json.encode(entry).decode()}")

    def _may_be_refused_again(self, who: str) -> bool:
        if len(self._rates) >= MOST_REFUSED:
            self._rates.clear()
        rate = self._rates.setdefault(who, Rate(REFUSED_A_MINUTE))
        return rate.take(1, self._clock()) == 0.0

    def operations(self) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
        """Method and path to what is done there."""
        return {("GET", AUDIT): self._listed}

    async def _listed(self, request: Request) -> dict[str, Any]:
        since, who, limit = _wanted(request.query)
        try:
            entries = await asyncio.to_thread(self._store.entries, since=since, who=who, limit=limit)
            broken = await asyncio.to_thread(self._store.broken)
        except StoreError as error:
            raise Problem(503, "state_unavailable", str(error)) from error
        return {"entries": msgspec.to_builtins(entries), "broken_at": broken}


def _wanted(query: str) -> tuple[float, str | None, int]:
    try:
        return _read(dict(parse_qsl(query, max_num_fields=20)))
    except ValueError as error:
        raise Problem(400, "invalid_request_error", f"{error}.", should_retry=False) from error


def _read(said: Mapping[str, str]) -> tuple[float, str | None, int]:
    if unknown := said.keys() - {"since", "who", "limit"}:
        raise ValueError(f"there is no {sorted(unknown)[0][:40]}, only since, who and limit")
    limit = int(said.get("limit", "100"))
    if not 1 <= limit <= MOST_ENTRIES:
        raise ValueError(f"limit is 1 to {MOST_ENTRIES}")
    return moment(said["since"], time.time()) if "since" in said else 0.0, said.get("who"), limit


def _entry(request: Request, request_id: str, person: Caller | None, outcome: str) -> AuditEntry:
    said = _said(request.body)
    if SAID_BY in request.headers:
        said["calls_itself"] = clean(request.headers[SAID_BY].decode("latin-1")).decode("latin-1")
    return AuditEntry(
        who=person.key if person else STRANGER,
        role=person.role.value if person and person.role else None,
        action=_shown(f"{request.method} {request.path}"),
        target=_target(request.path, said),
        outcome=outcome,
        address=request.client,
        request_id=request_id,
        said=said,
    )


def _target(path: str, said: Mapping[str, Any]) -> str:
    """The backend in the path, or what the body names."""
    parts = path.split("/")
    if len(parts) == 5 and parts[2] == "backends":
        return _shown(unquote(parts[3]))
    return str(said.get("name") or said.get("id") or "")


def _said(body: bytes) -> dict[str, Any]:
    """What a body says that is no secret for certain: numbers, a few texts by name, and the names of fields."""
    try:
        data = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    items = list(data.items())[:MOST_NAMES] if isinstance(data, dict) else []
    told = {_shown(name): _told(name, value) for name, value in items}
    return {name: value for name, value in told.items() if value is not None}


def _told(name: str, value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    if (name, type(value)) in NAMING:
        return [_shown(str(field)) for field in list(value)[:MOST_NAMES]]
    return _shown(value) if name in TEXTS and isinstance(value, str) else None


def _shown(text: str) -> str:
    """A stranger's words, bounded, without control characters and without what looks like a key."""
    return redact(printable(text, LONGEST))


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return {name: (before.get(name), after.get(name)) for name in names[:MOST_CHANGED]}


class _Outcome(msgspec.Struct):
    outcome: str | None = None
    dry_run: bool = False


def _outcome(request: Request, response: Response) -> str:
    """What a response says came of it, in its own word where it has one."""
    if response.status >= 400:
        return f"refused: {response.status}"
    try:
        asked = msgspec.json.decode(request.body or b"{}", type=_Outcome)
        told = msgspec.json.decode(response.body if isinstance(response.body, bytes) else b"{}", type=_Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "done"
    return "dry run" if asked.dry_run else told.outcome or "done"


def _problem(problem: Problem) -> str:
    return f"{'refused' if problem.status < 500 else 'failed'}: {problem.code}"
