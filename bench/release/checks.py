"""The checks of what is about to be shipped; each says what is wrong, in sentences, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

from packaging.metadata import InvalidMetadata, Metadata

from bench.release.lock import ROOT, locked
from bench.release.sbom import SBOM, written

LEAKS = (
    re.compile(rb"-----BEGIN (?:RSA |EC |OPENSSH |ENCRYPTED )?PRIVATE KEY-----"),
    re.compile(rb"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|xox[bp]-[0-9]{10,}-[A-Za-z0-9-]{20,})\b"),
    re.compile(rb"\b(?:sk-(?:proj-|ant-)?|pplx-)(?=[A-Za-z0-9]*[0-9])(?=[A-Za-z0-9]*[A-Z])[A-Za-z0-9]{40,}\b"),
    re.compile(rb"https?://[^\s\"'<>/]*:[^\s\"'<>/@]+@[^\s\"'<>/]*pypi"),
    re.compile(rb"\"/(?:home|root|Users)/[a-z][a-z0-9_-]*/"),
)
NEVER = re.compile(r"(^|/)(\.env|\.git|\.venv|__pycache__|[^/]*\.(?:sqlite3|db|pyc|pem))(/|$)")
SMOKE_SECONDS = 180


def same(first: Path, second: Path) -> list[str]:
    """Two builds of one commit are the same bytes."""
    names = sorted(path.name for path in first.iterdir())
    if names != sorted(path.name for path in second.iterdir()):
        return ["two builds made different files"]
    return [f"{name}: two builds of it differ" for name in names if _sum(first / name) != _sum(second / name)]


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel or a source archive."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield from ((name, wheel.read(name)) for name in wheel.namelist())
        return
    with tarfile.open(archive) as source:
        for member in source:
            file = source.extractfile(member)
            if file is not None:
                yield member.name.partition("/")[2], file.read()


def metadata(archive: Path) -> list[str]:
    """The metadata is valid, and whoever reads the package's page learns what it is and on what terms."""
    name = "METADATA" if archive.suffix == ".whl" else "PKG-INFO"
    files = dict(members(archive))
    text = next(content for path, content in files.items() if path.endswith(name))
    try:
        found = Metadata.from_email(text, validate=True)
    except ExceptionGroup as group:
        return [f"{archive.name}: {error}" for error in group.exceptions if isinstance(error, InvalidMetadata)]
    wrong = [] if found.license_expression == "Apache-2.0" else [f"{archive.name}: it says no licence"]
    if not found.description or found.description_content_type != "text/markdown":
        wrong.append(f"{archive.name}: it has no description in Markdown")
    if not any(path.endswith("LICENSE") for path in files):
        wrong.append(f"{archive.name}: it has no LICENSE")
    return wrong


def leaks(archive: Path, places: tuple[str, ...]) -> list[str]:
    """Nothing inside that looks like a secret, names a place of this machine, or is somebody's state."""
    wrong = []
    for name, content in members(archive):
        if NEVER.search(name):
            wrong.append(f"{archive.name}: {name} does not belong there")
        found = next((found for pattern in LEAKS if (found := pattern.search(content))), None)
        if found is not None:
            wrong.append(f"{archive.name}: {name} holds what looks like a secret or a place: {found[0][:24]!r}")
        wrong += [f"{archive.name}: {name} names {place}" for place in places if place.encode() in content]
    return wrong


def bill(wheel: Path) -> list[str]:
    """The bill of materials in the wheel is that of the lock, whole, with a licence for each."""
    if SBOM.read_text("utf-8") != written():
        return [f"{SBOM.name} is not that of the lock: run `make lock`"]
    inside = [content for name, content in members(wheel) if name.endswith(f".dist-info/sboms/{SBOM.name}")]
    if inside != [SBOM.read_bytes()]:
        return [f"{wheel.name}: its bill of materials is absent or another one"]
    components = json.loads(inside[0])["components"]
    listed = {(of["name"], of["version"], tuple(sorted(h["content"] for h in of["hashes"]))) for of in components}
    pinned = {(of.name, of.version, tuple(sorted(of.hashes))) for of in locked()}
    wrong = [f"the bill and the lock differ in {row[0]} {row[1]}" for row in sorted(listed ^ pinned)]
    return wrong + [f"{of['name']}: nobody knows its licence" for of in components if not of.get("licenses")]


def smoke(wheel: Path, folder: Path) -> list[str]:
    """In a fresh environment from the hashed lock: it says its version, and the demo answers what it asks."""
    venv.create(folder / "venv", with_pip=True)
    bin_ = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [bin_ / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("EQUIPOISE_", "PYTHON"))}
    environment = clean | {"HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}

    def run(*command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=SMOKE_SECONDS,
        )  # fmt: skip

    steps = (
        (*pip, "install", "--require-hashes", "-r", ROOT / "requirements" / "runtime.txt"),
        (*pip, "install", "--no-deps", "--no-index", wheel),
        (*pip, "check"),
    )
    for step in steps:
        done = run(*step)
        if done.returncode:
            return [f"{' '.join(map(str, step[3:6]))}: {(done.stdout + done.stderr)[-500:]}"]
    version = run(bin_ / "equipoise", "version").stdout.strip()
    wrong = [] if f"-{version}-" in wheel.name else [f"`equipoise version` says {version!r}"]
    demo = run(bin_ / "equipoise", "demo", "--questions", "24", "--json")
    return wrong + _demo(demo)


def _demo(done: subprocess.CompletedProcess[str]) -> list[str]:
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return [f"the demo said no JSON (exit code {done.returncode}): {done.stderr[-500:]}"]
    return [] if done.returncode == 0 and told else [f"the demo ended with {done.returncode}"]
