"""`make image`: build the image of the released wheel (deploy/Dockerfile) and try it; needs `make release` first.

Docker where its engine answers, else buildah. BASE names another base image, IMAGE_PYTHON its version of Python; with both
nothing is fetched but the locked wheels. Exit code 1 and what is wrong, or the image's name and size.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from packaging.markers import Marker

from bench.release.lock import ROOT

NAME = "equipoise"
BASE, PYTHON = os.environ.get("BASE", "python:3.13-slim"), os.environ.get("IMAGE_PYTHON", "3.13")
WHEELS = ROOT / "dist" / "wheels"
REFUSED = 4
HEALTHCHECK = json.loads(
    re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.M | re.S)[1]  # type: ignore[index]
)
SERVED = """
import os, signal, subprocess, sys, time

began = time.monotonic()
environ = os.environ | {"EQUIPOISE_API_KEY": "sk-eq-" + "0" * 48, "LIGHTRAG_URL": "http://127.0.0.1:1"}
server = subprocess.Popen(["equipoise", "serve", "--host", "0.0.0.0"], env=environ, stdout=subprocess.DEVNULL)
while subprocess.run(sys.argv[1:], stderr=subprocess.DEVNULL).returncode:
    assert server.poll() is None and time.monotonic() - began < 30
print(f"healthy {time.monotonic() - began:.1f} s after it was started")
server.send_signal(signal.SIGTERM)
sys.exit(server.wait(40))
"""
"""Starts the gateway on the image's own port, asks by the image's own health check, and ends it."""
BUILDAH = ("buildah", "--storage-driver", "vfs")
TRIES = {
    "the product runs": (["equipoise", "version", "--json"], 0, "equipoise"),
    "it is not root": (["python", "-c", "import os; print(os.getuid())"], 0, "10001"),
    "it carries its bill of materials": (
        ["python", "-c", "import pathlib as p; print([*map(str, p.Path('/app').rglob('sboms/*.json'))])"],
        0,
        ".dist-info/sboms/",
    ),
    "it starts, its health check sees that, and it ends when told": (
        ["python", "-c", SERVED, *HEALTHCHECK],
        0,
        "healthy",
    ),
    "without a key it listens to nobody else": (
        ["env", "OPENAI_API_KEY=none", "equipoise", "serve", "--host", "0.0.0.0"],
        REFUSED,
        "no key",
    ),
}
"""What is tried: a command, its exit code, and what is then printed."""


def main() -> int:
    """Fetch the wheels, build, try."""
    if not list((ROOT / "dist").glob("*.whl")):
        print("there is no wheel in dist/: `make release` makes it", file=sys.stderr)
        return 1
    engine = _engine()
    if engine is None:
        print("neither a Docker engine nor buildah is here", file=sys.stderr)
        return 1
    _fetched()
    build = (
        [engine, "build"]
        if engine == "docker"
        else [*BUILDAH, "bud", "--isolation", "chroot", "--pull-never", "--format", "docker"]
    )
    subprocess.run(
        [*build, "--build-arg", f"BASE={BASE}", "-f", "deploy/Dockerfile", "-t", NAME, "."], cwd=ROOT, check=True
    )
    wrong = _docker() if engine == "docker" else _buildah()
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def _engine() -> str | None:
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return "docker"
    return "buildah" if shutil.which("buildah") else None


def _fetched() -> None:
    shutil.rmtree(WHEELS, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--require-hashes",
        "--only-binary=:all:",
        "--no-deps",
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(_wanted((ROOT / "requirements" / "image.txt").read_text("utf-8")))
        wanted.flush()
        command += ["--python-version", PYTHON, "-r", wanted.name, "-d", str(WHEELS)]
        subprocess.run(command, cwd=ROOT, check=True)


def _wanted(lock: str) -> str:
    """What the image's Python takes of the lock, whatever its patch level: pip would ask the Python it runs on."""
    kept = []
    for block in re.split(r"^(?=\S)", lock, flags=re.M):
        marker = re.match(r"\S+ ; (.*?) \\\n", block)
        if marker is None or any(Marker(marker[1]).evaluate(_python(patch)) for patch in ("0", "99")):
            kept.append(re.sub(r" ; .*? \\\n", " \\\n", block, count=1))
    return "".join(kept)


def _python(patch: str) -> dict[str, str]:
    return {"python_version": PYTHON, "python_full_version": f"{PYTHON}.{patch}"}


def _docker() -> list[str]:
    size = subprocess.run(
        ["docker", "image", "inspect", "-f", "{{.Size}}", NAME], capture_output=True, text=True, check=True
    ).stdout
    print(f"{NAME}: {int(size) / 1e6:.0f} MB, of which {BASE} is a part")
    return _tried(["docker", "run", "--rm", "--entrypoint", ""], [NAME])


def _buildah() -> list[str]:
    def buildah(*arguments: str) -> str:
        return subprocess.run([*BUILDAH, *arguments], capture_output=True, text=True, check=True).stdout.strip()

    size = json.loads(buildah("images", "--json", NAME))[0]["size"]
    print(f"{NAME}: {size}, of which {BASE} is a part")
    container = buildah("from", "--pull-never", f"localhost/{NAME}")
    try:
        return _tried([*BUILDAH, "run", "--isolation", "chroot"], [container, "--"])
    finally:
        buildah("rm", container)


def _tried(before: Sequence[str], image: Sequence[str]) -> list[str]:
    """Each sentence that turned out to be wrong."""
    wrong = []
    for sentence, (command, code, printed) in TRIES.items():
        done = subprocess.run([*before, *image, *command], capture_output=True, text=True, check=False, timeout=60)
        held = done.returncode == code and printed in done.stdout + done.stderr
        told = [line for line in done.stdout.splitlines() if line.startswith("healthy")]
        print(f"{'held  ' if held else 'FAILED'} {sentence}", *told)
        if not held:
            wrong.append(f"{sentence}: exit code {done.returncode}: {(done.stdout + done.stderr).strip()[-400:]}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
