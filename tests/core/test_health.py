"""One score of probes and answers, that does not flutter."""

from __future__ import annotations

import itertools

from equipoise.core.health import Health, HealthStatus


def probe(it: Health, *, healthy: bool, completed: bool = True) -> None:
    it.probed(healthy=healthy, error=None, details={}, now=100.0, wall=100.0, completed=completed)


def test_without_evidence_nothing_is_known() -> None:
    """And one good probe is enough to begin with."""
    it = Health(1.0)
    assert it.status is HealthStatus.UNKNOWN
    probe(it, healthy=True)
    assert it.status is HealthStatus.HEALTHY


def test_probes_and_answers_are_one_score() -> None:
    """Two of three probes that fail lower it, though every answer was good; the third says down; a good answer up."""
    it = Health(1.0)
    for _ in range(50):
        it.attempted(success=True)
    before = it.value(100.0)
    probe(it, healthy=False)
    probe(it, healthy=False)
    assert it.value(100.0) < 0.8 * before
    assert it.status is HealthStatus.DEGRADED
    probe(it, healthy=False)
    assert (it.down, it.status) == (True, HealthStatus.UNHEALTHY)
    it.attempted(success=True)
    assert (it.down, it.status) == (False, HealthStatus.HEALTHY)


def test_around_a_bound_it_does_not_flutter() -> None:
    """One failure in ten for long: one change of mind, not one every few answers."""
    it = Health(1.0)
    seen = []
    for turn in range(400):
        it.attempted(success=turn % 10 != 0)
        seen.append(it.status)
    changes = sum(a is not b for a, b in itertools.pairwise(seen))
    assert changes <= 2


def test_every_check_is_counted_and_those_without_an_answer_apart() -> None:
    """What was due is what came to an end, one way or the other."""
    it = Health(1.0)
    probe(it, healthy=True)
    probe(it, healthy=False)
    probe(it, healthy=False, completed=False)
    assert (it.checks, it.checks_failed) == (3, 1)
