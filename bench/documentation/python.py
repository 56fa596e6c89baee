"""The public names of the library, from their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import equipoise
import equipoise.swap

HEAD = """\
# Python

`import equipoise`; everything here is what the package promises to keep. The specified modules
(`lightrag_integration`) have their own names and stand on these.
"""
QUOTED = re.compile(r"(: |-> )'([^']*)'")
MODULE = re.compile(r"\b(?:equipoise|collections|typing)\.(?:[a-z_]+\.)*")
MODULES = (equipoise, equipoise.swap)
ALSO = {"equipoise.swap": ("Swappable",)}


def python() -> str:
    """The page."""
    return "\n".join([HEAD, *(line for module in MODULES for line in _module(module))])


def _module(module: Any) -> Iterator[str]:
    yield f"## {module.__name__}\n"
    for name in ALSO.get(module.__name__) or sorted(set(module.__all__) - {"__version__"}):
        yield from _name(name, getattr(module, name))
    if module is equipoise:
        yield "### `__version__`\n\nThe version, as text.\n"


def _name(name: str, found: Any) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"```python\n{name}{_signature(found)}\n```\n"
    yield f"{inspect.cleandoc(found.__doc__ or '')}\n"
    for member, of in sorted(vars(found).items()):
        if member.startswith("_") or not _is_method(of):
            continue
        function = of.fget if isinstance(of, property) else getattr(of, "__func__", of)
        call = "" if isinstance(of, property) else _signature(function)
        if function.__doc__:
            yield f"**`{member}{call}`** {inspect.cleandoc(function.__doc__)}\n"


def _is_method(of: Any) -> bool:
    return isinstance(of, property | classmethod | staticmethod) or inspect.isfunction(of)


def _signature(of: Any) -> str:
    try:
        text = str(inspect.signature(of))
    except ValueError:
        return ""
    text = QUOTED.sub(r"\1\2", text).replace("(self, ", "(").replace("(self)", "()")
    return MODULE.sub("", text)
