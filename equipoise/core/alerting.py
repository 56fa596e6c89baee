"""When something is worth a word to an operator: once when it begins, again when it gets worse, once when it is over.

Pure: told what is wrong at an instant, the board answers with the notices to send. Times are Unix seconds.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterable, Mapping

import msgspec

Key = tuple[str, str]


class Severity(enum.StrEnum):
    """How bad it is; the specification's four."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"
    EMERGENCY = "emergency"

    @property
    def rank(self) -> int:
        """0 for information, 3 for an emergency."""
        return list(Severity).index(self)


class Change(enum.StrEnum):
    """What a notice says of its alert."""

    FIRED = "fired"
    ESCALATED = "escalated"
    REPEATED = "repeated"
    RESOLVED = "resolved"


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong now: the rule that says so, about whom (a backend, a budget, or nobody), how bad."""

    rule: str
    severity: Severity
    message: str
    subject: str = ""
    value: float | None = None
    threshold: float | None = None


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A condition that lasted long enough. `occurrences` counts how often it came back within the suppression."""

    id: str
    rule: str
    severity: Severity
    message: str
    since: float
    updated: float
    subject: str = ""
    value: float | None = None
    threshold: float | None = None
    resolved: float | None = None
    acknowledged_by: str | None = None
    occurrences: int = 1


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One message about an alert."""

    change: Change
    alert: Alert
    wall: float


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds: `hold` a condition must last before it fires, `clear` it must be gone before it is over, `suppression`
    between two firings of the same, `repeat` between two reminders of one that nobody has acknowledged."""

    hold: float = 0.0
    clear: float = 30.0
    suppression: float = 300.0
    repeat: float = 14_400.0


class _Watched(msgspec.Struct):
    """What is remembered of one rule and subject."""

    first_seen: float | None = None
    gone_since: float | None = None
    alert: Alert | None = None
    silent: bool = False
    told_at: float | None = None
    told_severity: Severity = Severity.INFO
    occurrences: int = 1


class Board:
    """Turns what is wrong into notices, without saying anything twice."""

    def __init__(self, default: Timing, timings: Mapping[str, Timing] | None = None) -> None:
        self._default, self._timings = default, dict(timings or {})
        self._watched: dict[Key, _Watched] = {}

    def look(self, conditions: Iterable[Condition], wall: float) -> list[Notice]:
        """Take in everything that is wrong at this instant; what is not named is not wrong any more."""
        present = worst(conditions)
        notices: list[Notice] = []
        for key, condition in present.items():
            notices += self._present(self._watched.setdefault(key, _Watched()), condition, wall)
        for key in [key for key in self._watched if key not in present]:
            notices += self._absent(key, self._watched[key], wall)
        return notices

    def announce(self, condition: Condition, wall: float) -> Notice:
        """Something that happened and is over: one notice, nothing to watch."""
        return Notice(
            change=Change.FIRED, alert=msgspec.structs.replace(_begun(condition, wall), resolved=wall), wall=wall
        )

    def acknowledge(self, alert_id: str, who: str) -> Alert | None:
        """Somebody looks after it: no more reminders. None where no such alert is active."""
        for watched in self._watched.values():
            if watched.alert is not None and watched.alert.id == alert_id:
                watched.alert = msgspec.structs.replace(watched.alert, acknowledged_by=who)
                return watched.alert
        return None

    def active(self) -> list[Alert]:
        """What is wrong now, worst first."""
        alerts = [watched.alert for watched in self._watched.values() if watched.alert is not None]
        return sorted(alerts, key=lambda alert: (-alert.severity.rank, alert.since, alert.id))

    def restore(self, alerts: Iterable[Alert]) -> None:
        """Go on with alerts that were active when an earlier process ended: neither told anew nor forgotten."""
        for alert in alerts:
            self._watched[alert.rule, alert.subject] = _Watched(
                first_seen=alert.since,
                alert=alert,
                told_at=alert.updated,
                told_severity=alert.severity,
                occurrences=alert.occurrences,
            )

    def _timing(self, rule: str) -> Timing:
        return self._timings.get(rule, self._default)

    def _present(self, of: _Watched, condition: Condition, wall: float) -> list[Notice]:
        of.gone_since = None
        of.first_seen = wall if of.first_seen is None else of.first_seen
        timing = self._timing(condition.rule)
        if of.alert is None:
            if wall - of.first_seen < timing.hold:
                return []
            return self._begin(of, condition, timing, wall)
        of.alert = _updated(of.alert, condition, wall)
        worse = condition.severity.rank > of.told_severity.rank
        if of.silent:
            return self._told(of, Change.FIRED, wall) if worse or not _recent(of, timing, wall) else []
        if worse:
            return self._told(of, Change.ESCALATED, wall)
        due = of.told_at is not None and wall - of.told_at >= timing.repeat
        return self._told(of, Change.REPEATED, wall) if due and of.alert.acknowledged_by is None else []

    def _begin(self, of: _Watched, condition: Condition, timing: Timing, wall: float) -> list[Notice]:
        recent = _recent(of, timing, wall)
        of.occurrences = of.occurrences + 1 if recent else 1
        begun = _begun(condition, wall if of.first_seen is None else of.first_seen)
        of.alert = msgspec.structs.replace(begun, updated=wall, occurrences=of.occurrences)
        of.silent = recent and condition.severity.rank <= of.told_severity.rank
        return [] if of.silent else self._told(of, Change.FIRED, wall)

    def _absent(self, key: Key, of: _Watched, wall: float) -> list[Notice]:
        timing = self._timing(key[0])
        of.gone_since = wall if of.gone_since is None else of.gone_since
        if of.alert is None:
            of.first_seen = None
            if not _recent(of, timing, wall):
                del self._watched[key]
            return []
        if wall - of.gone_since < timing.clear:
            return []
        over, silent = msgspec.structs.replace(of.alert, resolved=wall, updated=wall), of.silent
        of.alert, of.silent, of.first_seen = None, False, None
        return [] if silent else [Notice(change=Change.RESOLVED, alert=over, wall=wall)]

    def _told(self, of: _Watched, change: Change, wall: float) -> list[Notice]:
        if of.alert is None:
            return []
        of.silent, of.told_at, of.told_severity = False, wall, of.alert.severity
        return [Notice(change=change, alert=of.alert, wall=wall)]


def worst(conditions: Iterable[Condition]) -> dict[Key, Condition]:
    """One condition a rule and subject: the worst."""
    found: dict[Key, Condition] = {}
    for condition in conditions:
        key = condition.rule, condition.subject
        if key not in found or condition.severity.rank > found[key].severity.rank:
            found[key] = condition
    return found


def _recent(of: _Watched, timing: Timing, wall: float) -> bool:
    return of.told_at is not None and wall - of.told_at < timing.suppression


def _begun(condition: Condition, since: float) -> Alert:
    named = f"{condition.rule}|{condition.subject}|{since!r}".encode("utf-8", "surrogatepass")
    fields = msgspec.structs.asdict(condition)
    return Alert(
        id=hashlib.blake2b(named, digest_size=5).hexdigest(),
        since=since,
        updated=since,
        **fields,
    )


def _updated(alert: Alert, condition: Condition, wall: float) -> Alert:
    return msgspec.structs.replace(
        alert,
        severity=condition.severity,
        message=condition.message,
        value=condition.value,
        threshold=condition.threshold,
        updated=wall,
    )
