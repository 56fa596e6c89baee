"""Which questions are tuned on and which are reported, for each collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.routing.data import Table, llmrouter, routerarena, table_of
from bench.routing.features import described
from bench.routing.protocol import Split
from equipoise.core.features import Describer

FORMS = {
    "llmrouter": llmrouter,
    "routerarena": routerarena,
}


@dataclass
class Setting:
    """What a run of the bench goes by. `part` is "report" or "tune"."""

    data: Path
    describer: Describer
    part: str = "report"
    shuffles: int = 8
    peer: bool = True
    quick: bool = False

    def has(self, name: str) -> bool:
        """Are there such questions?"""
        folder = self.data / name
        if name in FORMS:
            return folder.is_dir()
        return any((folder / file).exists() for file in ("val.jsonl", "table.jsonl"))

    def split(self, name: str) -> Split:
        """One half to label and tune from, the other to report; a published test part where the data hold one."""
        folder = self.data / name
        if (folder / "test_holdout.jsonl").exists() and self.part == "report":
            return self._published(folder, name)
        table = self._table(folder, name)
        order = np.random.default_rng(7).permutation(len(table))
        tuned, reported = np.sort(order[: len(table) // 2]), np.sort(order[len(table) // 2 :])
        return self._split(table, tuned, reported if self.part == "report" else tuned)

    def streamed(self, split: Split, warm: int) -> int:
        """How many questions stream: all, less those that have to be labelled from the same part."""
        several = len(split.streamed) if self.part == "report" else len(split.streamed) - warm
        return min(several, 400) if self.quick else several

    def _table(self, folder: Path, name: str) -> Table:
        if name in FORMS:
            return FORMS[name](folder)
        return table_of(folder / ("val.jsonl" if (folder / "val.jsonl").exists() else "table.jsonl"), name)

    def _published(self, folder: Path, name: str) -> Split:
        first, second = table_of(folder / "val.jsonl", name), table_of(folder / "test_holdout.jsonl", name)
        both = Table(
            name,
            first.prompts + second.prompts,
            first.models,
            np.vstack([first.rewards, second.rewards]),
            np.vstack([first.costs, second.costs]),
            first.tasks + second.tasks,
        )
        return self._split(both, np.arange(len(first)), np.arange(len(first), len(both)))

    def _split(self, table: Table, labelled: np.ndarray, streamed: np.ndarray) -> Split:
        features, kinds, matrix = described(self.describer, table.prompts)
        return Split(table, features, kinds, matrix, labelled, streamed)
