"""`make release`: build wheel and source archive of HEAD reproducibly into dist/, check them, write their checksums.

Exit code 1 and what is wrong, or the names and SHA-256 of what may be shipped. Nothing is uploaded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.release import checks
from bench.release.lock import ROOT


def git(*arguments: str) -> str:
    """What git says of this repository."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def build(into: Path, source: Path, epoch: str) -> None:
    """Both files from an export of HEAD: what is not committed cannot get in."""
    shutil.copytree(source, into / "tree")
    environment = os.environ | {"SOURCE_DATE_EPOCH": epoch}
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(into / "dist")]
    subprocess.run(command, cwd=into / "tree", env=environment, check=True, stdout=subprocess.DEVNULL)


def exported(folder: Path) -> Path:
    """The files of HEAD."""
    tree = folder / "head"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
    return tree


def main() -> int:
    """Build twice, check, copy."""
    if git("status", "--porcelain"):
        print("there are changes that are not committed: a release is what is committed", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        tree, epoch = exported(folder), git("log", "-1", "--format=%ct")
        for number in ("first", "second"):
            (folder / number).mkdir()
            build(folder / number, tree, epoch)
        made = sorted((folder / "first" / "dist").iterdir())
        wheel = next(path for path in made if path.suffix == ".whl")
        places = (str(ROOT), str(folder), str(Path.home()) + "/")
        wrong = checks.same(folder / "first" / "dist", folder / "second" / "dist")
        for path in made:
            wrong += checks.metadata(path) + checks.leaks(path, places)
        wrong += checks.bill(wheel) + checks.smoke(wheel, folder)
        return told(wrong) or shipped(made)


def told(wrong: list[str]) -> int:
    """Say what is wrong; 1 if anything is."""
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    return 1 if wrong else 0


def shipped(made: list[Path]) -> int:
    """Copy into dist/, with checksums that `sha256sum -c` reads, and the bill of materials beside the wheel."""
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    dist.mkdir()
    for path in (*made, checks.SBOM):
        shutil.copy(path, dist)
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(dist.iterdir())]
    (dist / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    print("\n".join(sums))
    return 0


if __name__ == "__main__":
    sys.exit(main())
