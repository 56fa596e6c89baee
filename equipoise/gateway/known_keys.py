"""What was last known of keys that are kept on a server: their digests and terms, for a gateway that starts without it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from equipoise.stores.keys import StoredKey

GOOD_SECONDS = 86_400.0
"""How long ago the server may have been asked for what was known then to be believed at a start."""
NONE_SECONDS = 300.0
"""The same where it had no keys: whoever believes that opens the door to everybody."""
TOUCH_SECONDS = 60.0


class KnownKeys:
    """A file of the state directory (0600); its time is when the server was last asked. What fails here is no trouble."""

    def __init__(self, path: Path) -> None:
        self._path, self._touched = path, float("-inf")

    def keep(self, keys: list[StoredKey], *, changed: bool) -> None:
        """This is what the server says now."""
        now = time.monotonic()
        if not changed and now - self._touched < TOUCH_SECONDS:
            return
        self._touched = now
        with suppress(OSError):
            if not changed and self._path.exists():
                os.utime(self._path)
                return
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(keys))
            partial.replace(self._path)

    def read(self) -> list[StoredKey] | None:
        """What was known, None where nothing was or too long ago."""
        try:
            age = time.time() - self._path.stat().st_mtime
            keys = msgspec.json.decode(self._path.read_bytes(), type=list[StoredKey])
        except (OSError, msgspec.DecodeError):
            return None
        return keys if age < (GOOD_SECONDS if keys else NONE_SECONDS) else None
