"""Questions with the score and the cost of each model's answer, from the forms the public data come in.

    paretobandit/val.jsonl, test_holdout.jsonl   {"prompt", "arms": {model: {"reward", "cost"}}, "source"}
    llmrouter/train.json + default_query_train.jsonl + default_llm.json
    routerarena/*.jsonl                           one file a model: {"question", "evaluation_result", "token_usage"}
    NAME/table.jsonl                              {"prompt", "arms": {model: {"reward", "cost"}}, "task"}

The last is the form for data of one's own: `routerbench/table.jsonl` is what T3 reads, `routellm-mmlu/table.jsonl` and
`routellm-gsm8k/table.jsonl` what T8 reads (two arms, the dearer on average is the strong one).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
OUTPUT_TOKENS = 250  # where no lengths are recorded, as in the figures that these are compared with


@dataclass
class Table:
    """`rewards` in [0, 1] and `costs` in dollars, one row a question, one column a model; `tasks` where told."""

    name: str
    prompts: list[str]
    models: list[str]
    rewards: Array
    costs: Array
    tasks: list[str]

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, which: npt.NDArray[np.int64]) -> Table:
        """Only these rows, in this order."""
        prompts, tasks = [self.prompts[i] for i in which], [self.tasks[i] for i in which]
        return Table(self.name, prompts, self.models, self.rewards[which], self.costs[which], tasks)

    def halves(self, seed: int = 7) -> tuple[Table, Table]:
        """One half to tune on, the other to report; always the same halves."""
        order = np.random.default_rng(seed).permutation(len(self))
        return self.rows(np.sort(order[: len(self) // 2])), self.rows(np.sort(order[len(self) // 2 :]))


def table_of(path: Path, name: str) -> Table:
    """Read lines of {"prompt", "arms": {model: {"reward", "cost"}}}."""
    rows = _lines(path)
    models = sorted(set.intersection(*(set(row["arms"]) for row in rows)))
    return Table(
        name,
        [row["prompt"] for row in rows],
        models,
        np.array([[row["arms"][model]["reward"] for model in models] for row in rows]),
        np.array([[row["arms"][model]["cost"] for model in models] for row in rows]),
        [str(row.get("source") or row.get("task") or "") for row in rows],
    )


def llmrouter(folder: Path) -> Table:
    """Fourteen tasks by nine models; costs from list prices, by the question's length and 250 tokens of answer."""
    tasks = {row["query"]: row["task_name"] for row in _lines(folder / "default_query_train.jsonl")}
    prices = json.loads((folder / "default_llm.json").read_text())
    rows = json.loads((folder / "train.json").read_text())
    models = sorted(rows[0]["scores"])
    costs = [[_list_price(prices[model], row["question"]) for model in models] for row in rows]
    return Table(
        "llmrouter",
        [row["question"] for row in rows],
        models,
        np.array([[row["scores"][model] for model in models] for row in rows]).clip(0.0, 1.0),
        np.array(costs),
        [tasks.get(row["question"], "") for row in rows],
    )


def _list_price(of: dict[str, Any], question: str) -> float:
    tokens_in, tokens_out = len(question) / 4.0, OUTPUT_TOKENS
    return float((of["input_price"] * tokens_in + of["output_price"] * tokens_out) / 1e6)


def routerarena(folder: Path) -> Table:
    """Two models of which one dominates: what a router must not lose to."""
    models = sorted(file.stem for file in folder.glob("*.jsonl"))
    told = {m: {row["question"]: row["evaluation_result"] for row in _lines(folder / f"{m}.jsonl")} for m in models}
    questions = [q for q in told[models[0]] if all(q in rows for rows in told.values())]
    return Table(
        "routerarena",
        questions,
        models,
        np.array([[float(told[model][q]["score"]) for model in models] for q in questions]).clip(0.0, 1.0),
        np.array([[float(told[model][q]["inference_cost"]) for model in models] for q in questions]),
        ["" for _ in questions],
    )


def _lines(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
