"""`equipoise version`"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from platform import platform, python_implementation, python_version

import equipoise
from equipoise.cli.output import document, say

LIBRARIES = ("cyclopts", "httptools", "msgspec", "prometheus-client", "pydantic", "ruamel.yaml", "uvloop", "uvicorn")


def version(*, json: bool = False) -> None:
    """Print the version.

    Parameters
    ----------
    json: bool
        Print one JSON document, with the versions of what it stands on.
    """
    document(versions()) if json else say(equipoise.__version__)


def versions() -> dict[str, str]:
    """Ours, Python's, the system's, and those of the libraries that are installed."""
    found = {name: _of(name) for name in LIBRARIES}
    own = {"equipoise": equipoise.__version__, "python": f"{python_implementation()} {python_version()}"}
    return own | {"platform": platform()} | {name: text for name, text in found.items() if text}


def _of(name: str) -> str | None:
    try:
        return installed(name)
    except PackageNotFoundError:
        return None
