"""Python objects that an operator names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def function_named(name: str) -> Callable[..., Any]:
    """The object that `module:attribute` names. Raises ImportError or AttributeError when there is none."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function
