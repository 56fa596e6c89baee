"""The plot asks everything at its pace, kills the busiest backend in the middle, and fails in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from equipoise.http import Pool
from equipoise.sandbox.demo import plot as plotting
from equipoise.sandbox.demo.asking import Fate, Heard
from equipoise.sandbox.demo.plot import Plot
from equipoise.sandbox.demo.processes import DemoFailed
from equipoise.sandbox.demo.questions import DemoQuestion, questions


class Watched:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.count = 0

    def happened(self, text: str) -> None:
        self.said.append(text)

    def heard(self, heard: Heard) -> None:
        self.count += 1


class Backend:
    """A backend that can be killed once it was started."""

    port = 4242

    def __init__(self) -> None:
        self.deeds: list[str] = []

    async def kill(self) -> int:
        self.deeds.append("kill")
        return 7

    async def start(self) -> None:
        self.deeds.append("start")


class Stage:
    """Two backends, the second of which is always the busy one; `broken` makes its count unreadable."""

    class gateway:  # noqa: N801 - stands for an attribute
        url = "http://127.0.0.1:1"

    def __init__(self, *, broken: bool = False) -> None:
        self.backends = {"idle": Backend(), "busy": Backend()}
        self._broken = broken

    def pool(self, url: str) -> Pool:
        return Pool(url)

    async def in_flight(self, name: str) -> int:
        if self._broken:
            raise DemoFailed("GET /__stats gave 500")
        return 3


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between questions, and every answer comes from the busy backend."""

    async def answered(pool: Pool, question: DemoQuestion) -> Heard:
        return Heard(question=question, fate=Fate.ANSWERED, backend="busy", cost=None)

    monkeypatch.setattr(plotting, "A_QUESTION_EVERY", 0.001)
    monkeypatch.setattr(plotting, "ask", answered)


def played(stage: Any, watched: Watched, count: int = 50) -> Plot:
    """A plot that is ready to be played."""
    return Plot(stage, questions(count, 1), watched)


async def test_the_busiest_backend_dies_once_and_comes_back() -> None:
    """Every question is heard, the deeds are told in order, and the first answer after the return too."""
    stage, watched = Stage(), Watched()
    plot = played(stage, watched)
    await plot.play()
    assert (plot.killed, watched.count, len(plot.heard)) == ("busy", 50, 50)
    assert stage.backends["busy"].deeds == ["kill", "start"]
    assert stage.backends["idle"].deeds == []
    assert watched.said == [
        "killed busy (kill -9 7) with 3 answers in flight",
        "revived busy on port 4242",
        "busy answers again",
    ]


async def test_what_goes_wrong_on_the_stage_is_told_without_a_group() -> None:
    """One sentence, which the command prints."""
    with pytest.raises(DemoFailed, match="GET /__stats gave 500"):
        await played(Stage(broken=True), Watched()).play()
