"""`equipoise version`"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from platform import platform, python_implementation, python_version

import equipoise
from equipoise.cli.output import Output, as_documents, say

LIBRARIES = ("cyclopts", "httptools", "msgspec", "prometheus-client", "pydantic", "ruamel.yaml", "uvloop", "uvicorn")


def version(*, output: Output = None, json: bool = False) -> None:
    """Print the version.

    Parameters
    ----------
    output: str
        table, json or yaml.
    json: bool
        Print one JSON with the versions of what it stands on.
    """
    if not as_documents(versions(), output, json):
        say(equipoise.__version__)


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
