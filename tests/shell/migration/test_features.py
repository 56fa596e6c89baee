"""What phases switch in the running new side."""

from __future__ import annotations

from equipoise.core.rollout import FEATURES
from equipoise.core.routing import Route
from equipoise.migration.features import Features, Switched, allowed
from tests.fakes import ScriptedClient, answer, balancer

FULL = Route(name="auto", backends=("a",), strategy="adaptive_learning", min_quality=0.7)


class Probing:
    """Says what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def start(self) -> None:
        self.told.append("start")

    async def close(self) -> None:
        self.told.append("close")


def test_a_route_gets_no_more_than_its_configuration_says() -> None:
    """With every feature it is what was written; another strategy than learning is never touched."""
    assert allowed(FULL, FEATURES) == FULL
    plain = Route(name="auto", backends=("a",), strategy="weighted")
    assert allowed(plain, ()).strategy == "weighted"
    assert (allowed(FULL, ()).strategy, allowed(FULL, ()).min_quality) == ("health_aware", 0.0)


async def test_probing_begins_and_ends_with_its_phase() -> None:
    """Switched before the start it waits for it; after the end there is nothing left to end."""
    probing = Probing()
    switched = Switched(probing, on=False)
    await switched.start()
    assert probing.told == []
    await switched.switch(on=True)
    await switched.switch(on=True)
    await switched.switch(on=False)
    await switched.close()
    assert probing.told == ["start", "close"]


async def test_what_probes_found_last_does_not_count_for_ever() -> None:
    """A backend that was down when probing was switched off may be asked again."""
    it, _ = balancer({"a": ScriptedClient(answer())})
    features = Features(it, Switched(Probing(), on=False))
    await features.apply(FEATURES)
    for _ in range(3):
        it.selection.probed("a", healthy=False, error="refused", details={})
    assert it.selection.backends["a"].health.down
    await features.apply(())
    assert not it.selection.backends["a"].health.down
    await it.close()
