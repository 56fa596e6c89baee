"""The log of everything but requests: the standard library's, in our two forms."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

from equipoise.telemetry.crashes import places
from equipoise.telemetry.lines import console_line, json_line, moment, quoted

Style = Literal["console", "json"]
ROOT = "equipoise"

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """One line a record, what was given as `extra` included; secrets are masked, tracebacks hold places and no words."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._json = style == "json"

    def format(self, record: logging.LogRecord) -> str:
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            error = record.exc_info[1]
            extra["traceback"] = "" if error is None else places(error)
        return self._in_json(record, extra) if self._json else self._for_people(record, extra)

    def _in_json(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        head = {"time": moment(record.created), "level": record.levelname.lower(), "logger": record.name}
        return json_line(head | {"message": record.getMessage()} | extra)

    def _for_people(self, record: logging.LogRecord, extra: dict[str, Any]) -> str:
        words = [moment(record.created), record.levelname.lower(), quoted(record.getMessage()), console_line(extra)]
        return " ".join(words).rstrip()


def set_up_logging(level: str = "info", style: Style = "console", stream: TextIO | None = None) -> logging.Logger:
    """Send what `equipoise` logs to a stream (standard error); calling again replaces the earlier set-up.

    `level` is debug, info, warning or error; else ValueError.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(style))
    logger = logging.getLogger(ROOT)
    logger.setLevel(level.upper())
    logger.handlers[:] = [handler]
    logger.propagate = False
    return logger
