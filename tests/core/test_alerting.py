"""Alerts are told once, again when worse, once when over; never a storm."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from equipoise.core.alerting import Board, Change, Condition, Notice, Severity, Timing

TIMING = Timing(hold=30.0, clear=30.0, suppression=300.0, repeat=3600.0)
SEVERITIES = (Severity.WARNING, Severity.CRITICAL, Severity.EMERGENCY)


def wrong(severity: Severity = Severity.WARNING, rule: str = "HighErrorRate", subject: str = "") -> Condition:
    return Condition(rule=rule, subject=subject, severity=severity, message="5.3 % failed", value=0.053, threshold=0.05)


def told(board: Board, story: list[tuple[float, list[Condition]]]) -> list[tuple[float, Change]]:
    return [(wall, notice.change) for wall, conditions in story for notice in board.look(conditions, wall)]


def test_what_lasts_fires_once_and_resolves_once() -> None:
    """Held for 30 s before it is told, gone for 30 s before it is over."""
    story = [(wall, [wrong()] if 15 <= wall < 90 else []) for wall in range(0, 180, 15)]
    assert told(Board(TIMING), story) == [(45, Change.FIRED), (120, Change.RESOLVED)]


def test_what_passes_is_never_told() -> None:
    """A blip shorter than the hold."""
    story = [(wall, [wrong()] if wall in (15, 30) else []) for wall in range(0, 180, 15)]
    assert told(Board(TIMING), story) == []


def test_worse_is_told_at_once_and_better_is_not_told() -> None:
    """Warning, critical, warning: two notices."""
    board = Board(Timing(hold=0.0))
    severities = [Severity.WARNING, Severity.WARNING, Severity.CRITICAL, Severity.WARNING, Severity.CRITICAL]
    story = [(15.0 * index, [wrong(severity)]) for index, severity in enumerate(severities)]
    assert told(board, story) == [(0.0, Change.FIRED), (30.0, Change.ESCALATED)]
    assert board.active()[0].severity is Severity.CRITICAL


def test_what_comes_and_goes_is_told_every_five_minutes_at_most() -> None:
    """The specification's suppression of 300 s; a silent one that is over needs no word."""
    board = Board(Timing(hold=0.0, clear=0.0))
    story = [(15.0 * index, [wrong()] if index % 2 == 0 else []) for index in range(41)]
    fired = [wall for wall, change in told(board, story) if change is Change.FIRED]
    assert fired == [0.0, 300.0, 600.0]
    assert board.active()[0].occurrences == 1


def test_a_reminder_comes_until_somebody_acknowledges() -> None:
    """Every four hours by default; an acknowledged one still says when it is over."""
    board = Board(Timing())
    assert told(board, [(0.0, [wrong()]), (14_399.0, [wrong()]), (14_400.0, [wrong()])])[1:] == [
        (14_400.0, Change.REPEATED)
    ]
    (alert,) = board.active()
    assert board.acknowledge(alert.id, "mo") is not None
    assert board.acknowledge("nothing", "mo") is None
    story: list[tuple[float, list[Condition]]] = [(30_000.0, [wrong()]), (50_000.0, []), (50_100.0, [])]
    assert told(board, story) == [(50_100.0, Change.RESOLVED)]


def test_a_new_process_goes_on_where_the_old_one_ended() -> None:
    """Not told anew, not forgotten, still acknowledged."""
    first = Board(Timing())
    first.look([wrong(), wrong(rule="CircuitBreakerOpen", subject="web")], 0.0)
    first.acknowledge(first.active()[0].id, "mo")
    second = Board(Timing())
    second.restore(first.active())
    assert second.look([wrong()], 60.0) == []
    over = second.look([wrong()], 120.0)
    assert [(notice.change, notice.alert.subject) for notice in over] == [(Change.RESOLVED, "web")]
    assert [alert.acknowledged_by for alert in second.active()] == [None] or second.active()[0].acknowledged_by == "mo"


def test_an_announcement_is_one_notice_and_nothing_to_watch() -> None:
    """A canary's verdict is no state."""
    board = Board(Timing())
    notice = board.announce(wrong(rule="CanaryDecided"), 5.0)
    assert (notice.change, notice.alert.resolved) == (Change.FIRED, 5.0)
    assert board.active() == []


looks = st.lists(
    st.tuples(
        st.floats(1.0, 120.0),
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(SEVERITIES)), max_size=3),
    ),
    max_size=80,
)


@given(looks)
def test_notices_make_sense_whatever_happens(story: list[tuple[float, list[tuple[str, Severity]]]]) -> None:
    """Resolved only what was fired and never twice; two firings are 300 s apart unless the second is worse; an
    escalation is worse than all told before it; what lasts is told."""
    board, wall = Board(TIMING), 0.0
    notices: dict[str, list[Notice]] = defaultdict(list)
    for pause, wrongs in story:
        wall += pause
        for notice in board.look([wrong(severity, subject=subject) for subject, severity in wrongs], wall):
            notices[notice.alert.subject].append(notice)
    for of in notices.values():
        require_sense(of)


def require_sense(notices: list[Notice]) -> None:
    """Those about one subject, in order."""
    open_since, told_at, severity = None, float("-inf"), Severity.INFO
    for notice in notices:
        if notice.change is Change.RESOLVED:
            assert open_since == notice.alert.since
            open_since = None
            continue
        worse = notice.alert.severity.rank > severity.rank
        if notice.change is Change.FIRED:
            assert open_since is None
            assert worse or notice.wall - told_at >= 300.0
        else:
            assert open_since == notice.alert.since
            assert worse or notice.change is Change.REPEATED
        open_since, told_at, severity = notice.alert.since, notice.wall, notice.alert.severity


@given(st.sampled_from(SEVERITIES), st.text(max_size=20))
def test_a_notice_survives_the_store(severity: Severity, subject: str) -> None:
    """As JSON and back."""
    (notice,) = Board(Timing()).look([wrong(severity, subject=subject)], 1.5)
    assert msgspec.json.decode(msgspec.json.encode(notice), type=Notice) == notice
