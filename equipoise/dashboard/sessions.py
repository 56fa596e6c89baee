"""Who is logged in: random tokens, kept as digests, bounded in number and time; and the proof that a form is ours."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

import msgspec

from equipoise.http import Request

COOKIE = "equipoise_session"
LONGEST, IDLE = 12 * 3600.0, 3600.0
"""Seconds a session lasts, and without being used."""
MOST = 256
"""Sessions there are at once; the one unused for longest goes first."""


class Session(msgspec.Struct):
    """One login: since when and until last used (monotonic seconds), and the key it was opened with.

    The key is kept under the token, which is kept nowhere here: without the visitor's cookie nobody can read it. It is
    shown to whoever checks keys at every request, so that a session is worth what its key is worth now.
    """

    began: float
    used: float
    sealed: bytes

    def key(self, token: str) -> bytes:
        """The key, by the cookie's token."""
        return _under(token, self.sealed)


class Sessions:
    """Keeps them in memory only: a restart ends them all."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now, self._secret = now, secrets.token_bytes(32)
        self._known: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, key: bytes) -> str:
        """A new session's token, for the cookie."""
        token, now = secrets.token_urlsafe(32), self._now()
        self._known[_digest(token)] = Session(now, now, _under(token, key))
        while len(self._known) > MOST:
            self._known.popitem(last=False)
        return token

    def key(self, request: Request) -> bytes | None:
        """The key behind the cookie that the request shows; None where there is none, or its time is over."""
        token = cookie(request)
        known, now = _digest(token), self._now()
        session = self._known.get(known)
        if session is None:
            return None
        if now - session.began > LONGEST or now - session.used > IDLE:
            del self._known[known]
            return None
        session.used = now
        self._known.move_to_end(known)
        return session.key(token)

    def end(self, request: Request) -> None:
        """Forget the session whose cookie the request shows."""
        self._known.pop(_digest(cookie(request)), None)

    def proof(self, request: Request) -> str:
        """What a form of this visitor's session must bring along; without a session, what pages of this process hold."""
        return hmac.new(self._secret, cookie(request).encode(), hashlib.sha256).hexdigest()

    def proves(self, request: Request, shown: str) -> bool:
        """Is it that?"""
        return hmac.compare_digest(self.proof(request).encode(), shown.encode())


def cookie(request: Request) -> str:
    """The token in the request's cookie; empty where there is none."""
    jar = SimpleCookie()
    try:
        jar.load(request.headers.get(b"cookie", b"").decode("latin-1")[:4_096])
    except CookieError:
        return ""
    return jar[COOKIE].value if COOKIE in jar else ""


def given(token: str, *, secure: bool) -> bytes:
    """The Set-Cookie that begins a session; for an empty token, that ends it."""
    end = f"; Max-Age={int(LONGEST)}" if token else "; Max-Age=0"
    return f"{COOKIE}={token}; Path=/dashboard; HttpOnly; SameSite=Strict{end}{'; Secure' if secure else ''}".encode()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _under(token: str, text: bytes) -> bytes:
    """The text under a pad that is made of the token and used once; again under it, the text."""
    pad = hashlib.shake_256(b"key of " + token.encode()).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, pad, strict=True))
