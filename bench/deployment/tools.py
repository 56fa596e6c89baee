"""Helm, kubectl, Compose, hadolint and Kubernetes' schemas, out of their wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements" / "deploy.txt"
PLACE = ROOT / ".e2e" / "deploy"
PROGRAMS = ("docker-compose", "hadolint", "kubectl")
RENDER = """
import json, sys
import helm_python

chart, asked = json.load(sys.stdin)
with helm_python.Chart.load(chart) as loaded:
    for values, name in asked:
        try:
            files = loaded.render(values, name=name, namespace="answers")
            told = {"files": {path: text for path, text in files.items() if path.endswith(".yaml")}}
        except helm_python.HelmError as error:
            told = {"error": str(error)}
        print(json.dumps(told))
    print(json.dumps(helm_python.lint(chart, asked[0][0])))
"""


def installed() -> bool:
    """Is everything there?"""
    return (PLACE / "helm_python").exists() and all((PLACE / "bin" / name).exists() for name in PROGRAMS)


def install() -> None:
    """Put the wheels of the listed hashes there. Raises CalledProcessError."""
    if installed():
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    subprocess.run([*command, "--require-hashes", "-r", str(REQUIREMENTS), "--target", str(PLACE)], check=True)


def run(
    program: str, *arguments: str, environ: dict[str, str] | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """One of the programs, told nothing but these variables and where programs are."""
    known = {"PATH": os.environ["PATH"], "HOME": str(PLACE), "PYTHONPATH": str(PLACE)}
    command = [sys.executable, "-m", program] if program == "kubernetes_validate" else [str(PLACE / "bin" / program)]
    return subprocess.run(
        [*command, *arguments], env=known | (environ or {}), capture_output=True, text=True, check=False, **more
    )


def rendered(chart: Path, asked: Sequence[tuple[dict[str, Any], str]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What Helm makes of these values under these names, each its `files` or its `error`; and its lint of the first."""
    done = subprocess.run(
        [sys.executable, "-c", RENDER],
        input=json.dumps([str(chart), asked]),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PLACE)},
        capture_output=True,
        text=True,
        check=True,
    )
    *told, lint = map(json.loads, done.stdout.splitlines())
    return told, lint
