"""Client keys: kept and compared as SHA-256 digests only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from equipoise.core.callers import Caller
from equipoise.http import Headers, Request

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
    """Knows which keys are good, and on what terms.

    `digests` maps the hexadecimal SHA-256 of a key to its terms, or just to its tenant. Any number of keys takes the
    same time: they are found by a digest under a secret of this process, so that the time of a look-up tells a stranger
    nothing, and what was found is compared in constant time. `beside` may know a request that shows no key.
    """

    def __init__(
        self,
        digests: Mapping[str, Caller | str],
        wall: Callable[[], float] = time.time,
        beside: Callable[[Headers], Caller | None] | None = None,
    ) -> None:
        self._wall, self._beside = wall, beside
        self._blinded = partial(hashlib.blake2b, key=secrets.token_bytes(32), digest_size=16)
        self._mark = object()  # whoever was found by these keys and no others
        self._known = {
            self._blinded(bytes.fromhex(known)).digest(): (bytes.fromhex(known), _terms(terms))
            for known, terms in digests.items()
        }

    @classmethod
    def of(cls, keys: Iterable[str], tenant: str = "default") -> ClientKeys:
        """Keys in clear, all of one tenant; only their digests are kept."""
        return cls({digest(key): tenant for key in keys})

    def caller(self, headers: Headers) -> Caller | None:
        """On whose terms the request comes; None if it shows no key that was ever good. It may have expired."""
        known = self._holder(headers)
        return self._beside(headers) if known is None and self._beside is not None else known

    def admitted(self, request: Request) -> Caller | None:
        """The same for a request that comes here more than once: its key is looked up anew only by other keys than before."""
        found = request.admitted
        if found is not None and found[0] is self._mark:
            caller: Caller = found[1]
            return caller
        known = self._holder(request.headers)
        if known is None:
            return self._beside(request.headers) if self._beside is not None else None
        request.admitted = self._mark, known
        return known

    def _holder(self, headers: Headers) -> Caller | None:
        key = presented(headers)
        if not key or len(key) > MAX_KEY:
            return None
        shown = hashlib.sha256(key).digest()
        known, terms = self._known.get(self._blinded(shown).digest(), (b"", None))
        return terms if hmac.compare_digest(known, shown) else None

    def expired(self, caller: Caller) -> bool:
        """Is this key's time over?"""
        return caller.expires is not None and caller.expired(self._wall())

    def tenant(self, headers: Headers) -> str | None:
        """Whose key the request shows; None if it shows none that is good now."""
        caller = self.caller(headers)
        return None if caller is None or self.expired(caller) else caller.tenant

    def __repr__(self) -> str:
        return f"ClientKeys({len(self._known)} keys)"


def _terms(terms: Caller | str) -> Caller:
    return Caller(tenant=terms) if isinstance(terms, str) else terms
