"""The dashboard of an estate."""

from __future__ import annotations

from collections.abc import Callable

from equipoise.build import Estate
from equipoise.dashboard import Dashboard
from equipoise.dashboard.facts import Facts
from equipoise.dashboard.recorder import Recorder, Sample, sample_of
from equipoise.gateway.together import Together
from equipoise.stores.quality import Story


def recorder_of(estate: Estate) -> Recorder:
    """Keeps what no store does, from now on; sampled while the balancer runs."""
    balancer = estate.balancer
    wall = balancer.selection.clock.wall

    def sample() -> Sample:
        learned = balancer.learning.status() if balancer.learning is not None else {}
        return sample_of(balancer.status(), learned, wall())

    recorder = Recorder(sample, wall)
    balancer.observers.append(recorder.observe)
    balancer.background.append(recorder)
    return recorder


def dashboard_of(
    estate: Estate,
    recorder: Recorder | None,
    story: Story,
    read_only: Callable[[], bool],
    draining: Callable[[], bool],
    together: Together | None = None,
) -> Dashboard:
    """Its pages; without a recorder they know no changes and no samples."""
    status = together.seen if together is not None else estate.balancer.status
    wall = estate.balancer.selection.clock.wall
    known = recorder or recorder_of(estate)
    facts = Facts(status=status, ledger=estate.ledger, story=story, recorder=known, wall=wall)
    return Dashboard(facts, read_only=read_only, draining=draining)
