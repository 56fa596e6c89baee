"""Client keys: kept and compared as SHA-256 digests only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from equipoise.http import Headers

MAX_KEY = 1_024


def digest(key: str | bytes) -> str:
    """The hexadecimal SHA-256 of a key; keys are random, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def presented(headers: Headers) -> bytes | None:
    """The key a client shows: `Authorization: Bearer ...` or `X-API-Key`."""
    authorization = headers.get(b"authorization")
    if authorization is not None and authorization[:7].lower() == b"bearer ":
        return authorization[7:].strip()
    return headers.get(b"x-api-key")


class ClientKeys:
    """Knows which keys are good and whose they are.

    `digests` maps the hexadecimal SHA-256 of a key to the tenant it belongs to. Every digest is compared in constant
    time, all of them whatever matches.
    """

    def __init__(self, digests: Mapping[str, str]) -> None:
        self._digests = {bytes.fromhex(known): tenant for known, tenant in digests.items()}

    @classmethod
    def of(cls, keys: Iterable[str], tenant: str = "default") -> ClientKeys:
        """Keys in clear, all of one tenant; only their digests are kept."""
        return cls({digest(key): tenant for key in keys})

    def tenant(self, headers: Headers) -> str | None:
        """Whose key the request shows; None if it shows none that is good."""
        key = presented(headers)
        if not key or len(key) > MAX_KEY:
            return None
        shown = hashlib.sha256(key).digest()
        found = None
        for known, tenant in self._digests.items():
            if hmac.compare_digest(known, shown):
                found = tenant
        return found

    def __repr__(self) -> str:
        return f"ClientKeys({len(self._digests)} keys)"
