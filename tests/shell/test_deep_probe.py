"""What a health probe has used is on the books."""

from __future__ import annotations

from equipoise.backends.base import ProbeResult
from equipoise.build.background import probe_record
from equipoise.core.model import CostSource, Usage
from tests.fakes import FakeClock, backend


def test_a_deep_probe_is_a_record_of_ours() -> None:
    """With its estimated cost, under a role and a route of its own, told apart from questions."""
    found = ProbeResult(healthy=True, seconds=0.2, usage=Usage(input_tokens=3, estimated=True))
    record = probe_record(backend("graph"), found, FakeClock())
    assert (record.role, record.decision.route, record.tags) == ("probe", "probe", ("probe",))
    assert (record.outcome.cost, record.outcome.cost_source) == (3_000, CostSource.ESTIMATED)
    assert record.outcome.duration == 0.2
