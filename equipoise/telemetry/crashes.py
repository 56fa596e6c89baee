"""What is said of an exception that nobody expected: its kind and where it came from, never its words.

An exception's text may hold a question: a KeyError of a strategy of one's own, a decoder's excerpt. So no traceback that
leaves the process carries one.
"""

from __future__ import annotations

import asyncio
import logging
from traceback import extract_tb
from typing import Any

FOREIGN = ("asyncio", "uvicorn.error")
logger = logging.getLogger("equipoise.crash")


def places(error: BaseException) -> str:
    """The traceback without words, causes first: `file:line in function`, then the kind of exception."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [f"  {at.filename}:{at.lineno} in {at.name}" for at in extract_tb(error.__traceback__)]
    own = "\n".join([*lines, type(error).__name__])
    return own if before is None else f"{places(before)}\nthen\n{own}"


def watch_crashes(loop: asyncio.AbstractEventLoop, ours: logging.Logger) -> None:
    """Have all that this loop, and others' loggers, tell of exceptions go this way and into our log."""
    loop.set_exception_handler(report)
    for name in FOREIGN:
        logging.getLogger(name).handlers[:] = ours.handlers
        logging.getLogger(name).propagate = False


def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler: one record of what happened, without the words of anybody."""
    error = context.get("exception")
    extra = {"error": type(error).__name__, "traceback": places(error)} if isinstance(error, BaseException) else {}
    logger.error(str(context.get("message", "an unexpected error")).partition("\n")[0], extra=extra)
