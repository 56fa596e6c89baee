"""What can go wrong with an upstream, by phase."""

from __future__ import annotations

from typing import Literal, TypeAlias

Phase: TypeAlias = Literal["resolve", "connect", "tls", "send", "wait", "read"]


class HTTPError(Exception):
    """An exchange that gave no whole response.

    `phase` is where it failed; `timed_out` whether a deadline did it; `maybe_processed` is False only if the upstream
    cannot have seen the request. The message names the origin, never a header or body.
    """

    def __init__(
        self, message: str, *, phase: Phase, timed_out: bool = False, maybe_processed: bool | None = None
    ) -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.timed_out = timed_out
        seen = phase in {"send", "wait", "read"}
        self.maybe_processed = seen if maybe_processed is None else maybe_processed


class BodyTooLarge(HTTPError):
    """A response that exceeds what the caller is willing to hold."""

    def __init__(self, message: str) -> None:
        super().__init__(message, phase="read")
