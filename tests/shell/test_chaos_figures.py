"""What the kill bench says of a run: a failure is never quick, and a late hiccup is no outage."""

from __future__ import annotations

from bench.chaos.__main__ import figures, recovered, too_long
from equipoise.cli.loading import ANSWERED, Taken


def steady(seconds: float = 0.02, *, until: float = 30.0, kill: float = 10.0, slow: float = 0.0) -> list[Taken]:
    """A hundred questions a second; for `slow` seconds after the kill each takes a second."""
    return [
        Taken(n / 100, 0.0, 1.0 if kill <= n / 100 < kill + slow else seconds, 0.0, False, ANSWERED)
        for n in range(round(until * 100))
    ]


def test_a_run_that_nobody_noticed() -> None:
    """No failure, p99 never away."""
    found = figures(steady(), [], 10.0)
    assert (found["failed"], found["recovered_after_s"], found["p99_before_ms"]) == (0, 0.0, 20.0)
    assert (found["late_windows_before"], found["late_windows_after_recovery"]) == ("0 of 16", "0 of 40")


def test_p99_is_back_when_it_stays_back() -> None:
    """Slow for a second and a half, then well."""
    assert figures(steady(slow=1.5), [], 10.0)["recovered_after_s"] == 1.5
    assert figures(steady(slow=20.0), [], 10.0)["recovered_after_s"] is None


def test_a_late_hiccup_is_counted_but_is_no_outage() -> None:
    """The windows after two good seconds do not undo the recovery."""
    windows = [(n / 2, 500.0 if n in (1, 20) else 20.0) for n in range(1, 40)]
    assert recovered(windows, 20.0) == 0.5


def test_a_quick_failure_is_no_quick_answer() -> None:
    """It counts as half a minute, so that refusing at once cannot look like recovering."""
    taken = [each if each.at < 10 else Taken(each.at, 0.0, 0.001, 0.0, False, "status 503") for each in steady()]
    found = figures(taken, [], 10.0)
    assert (found["failed"], found["recovered_after_s"]) == (2_000, None)
    assert found["worst_p99_after_ms"] == 30_000.0
    assert too_long(10.0) == 30.0
