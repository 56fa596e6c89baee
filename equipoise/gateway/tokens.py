"""Signed tokens (JWT, RFC 7519) of an identity provider, believed beside keys; needs the extra `jwt`.

What a token says decides nothing before its signature is checked: the key is taken from the configured address only (no
`jku`, `x5u`, `jwk` or `x5c` is looked at), by `kid`, and it decides the algorithm, never the token (RFC 8725, 3.1). Keys are
fetched beside the requests; a request never waits for the provider.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec

from equipoise.core.callers import Caller, Role
from equipoise.gateway.keys import presented
from equipoise.http import Headers, HTTPError, Pool, PoolLimits, Timeouts

LONGEST_TOKEN, LONGEST_NAME, LONGEST_SET = 8_192, 128, 262_144
LEAST_RSA_BITS = 2_048
FETCH_SECONDS, FETCH_APART, STALE_SECONDS = 5.0, 10.0, 86_400.0
PREFIX = "jwt:"
"""Before every subject: a token is never taken for a key of the same name."""
UNBELIEVABLE = (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, RecursionError)
"""Everything that a stranger's token may do to whoever reads it; a deep one exhausts the recursion of `json`."""


class TokenOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tokens are believed and what their claims mean; see the section `jwt` of a configuration. Times in seconds."""

    issuer: str
    audience: str
    jwks_url: str
    algorithms: tuple[str, ...] = ("RS256", "ES256", "EdDSA")
    leeway: float = 30.0
    refresh: float = 300.0
    max_keys: int = 32
    tenant_claim: str | None = None
    key_claim: str = "sub"
    role_claim: str | None = None
    roles: Mapping[str, Role] = {}


class Tokens:
    """Checks tokens against the provider's keys, which it fetches from `start` to `close`.

    While the provider cannot be reached the keys last fetched stay good for a day; `on_trouble` hears of it once a spell.
    """

    def __init__(
        self,
        options: TokenOptions,
        on_trouble: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(options.jwks_url)
        self._of, self._on_trouble, self._clock = options, on_trouble, clock
        self._path = parts.path or "/"
        self._pool = Pool(f"{parts.scheme}://{parts.netloc}", limits=PoolLimits(connections=1))
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched, self._tried, self._troubled = float("-inf"), float("-inf"), False
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Fetch the keys, and again and again."""
        await self.refresh()
        self._task = asyncio.create_task(self._run(), name="jwks")

    async def close(self) -> None:
        """Stop fetching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._pool.close()

    def client(self, headers: Headers) -> Caller | None:
        """On whose terms a question comes, by the tenant its token names; None without one that is believed."""
        claims = self._claims(headers) if self._of.tenant_claim else None
        if claims is None:
            return None
        tenant, name = _name(claims.get(self._of.tenant_claim or "")), _name(claims.get(self._of.key_claim))
        return Caller(key=PREFIX + name, tenant=tenant) if tenant and name else None

    def person(self, headers: Headers) -> Caller | None:
        """Who is at the admin listener, with the highest role that the token's claim stands for; None without one."""
        claims = self._claims(headers) if self._of.role_claim else None
        if claims is None:
            return None
        role, name = self._role(claims.get(self._of.role_claim or "")), _name(claims.get(self._of.key_claim))
        return Caller(key=PREFIX + name, role=role) if role is not None and name else None

    async def refresh(self) -> None:
        """Fetch the keys once; what was known stays where that fails."""
        self._tried = self._clock()
        try:
            found = _usable(await self._document(), self._of.algorithms, self._of.max_keys)
        except (HTTPError, TimeoutError, msgspec.MsgspecError, *UNBELIEVABLE) as error:
            self._trouble(f"the keys at {self._of.jwks_url} cannot be had, those known stay good for a day: {error}")
            return
        self._keys, self._fetched, self._troubled = found, self._clock(), False

    def _role(self, said: Any) -> Role | None:
        words = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        found = [self._of.roles[word] for word in words if isinstance(word, str) and word in self._of.roles]
        return max(found, key=list(Role).index, default=None)

    def _claims(self, headers: Headers) -> dict[str, Any] | None:
        token = presented(headers)
        if token is None or token.count(b".") != 2 or len(token) > LONGEST_TOKEN:
            return None
        try:
            return self._checked(token.decode("ascii"))
        except UNBELIEVABLE:
            return None

    def _checked(self, token: str) -> dict[str, Any] | None:
        header = jwt.get_unverified_header(token)
        key = self._key(header.get("kid"))
        if key is None or header.get("alg") != key.algorithm_name or "crit" in header:
            return None
        claims = jwt.decode(
            token,
            key,
            algorithms=[str(key.algorithm_name)],
            audience=self._of.audience,
            issuer=self._of.issuer,
            leeway=self._of.leeway,
            options={"require": ["exp", "iss", "aud"], "strict_aud": False},
        )
        return dict(claims)

    def _key(self, kid: Any) -> jwt.PyJWK | None:
        """The key of this name; the only one where a token names none. An unknown name has the keys fetched again."""
        if self._clock() - self._fetched > STALE_SECONDS:
            return None
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        found = self._keys.get(kid) if isinstance(kid, str) else None
        if found is None:
            self._wanted.set()
        return found

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._of.refresh):
                    await self._wanted.wait()
            await asyncio.sleep(max(0.0, self._tried + FETCH_APART - self._clock()))
            self._wanted.clear()
            await self.refresh()

    async def _document(self) -> Any:
        timeouts = Timeouts(connect=FETCH_SECONDS, first_byte=FETCH_SECONDS, between_bytes=FETCH_SECONDS)
        accept = [(b"accept", b"application/json")]
        async with asyncio.timeout(2 * FETCH_SECONDS):
            response = await self._pool.request("GET", self._path, headers=accept, body=b"", timeouts=timeouts)
            body = await response.read(LONGEST_SET)
        if response.status != 200:
            raise ValueError(f"the provider answered {response.status}, which is followed nowhere")
        return msgspec.json.decode(body)

    def _trouble(self, message: str) -> None:
        if not self._troubled:
            self._on_trouble(message)
        self._troubled = True


def _usable(document: Any, algorithms: Sequence[str], most: int) -> dict[str | None, jwt.PyJWK]:
    """The signing keys of a set that fit an accepted algorithm, by name. Raises ValueError where there is none."""
    listed = document.get("keys") if isinstance(document, dict) else None
    found: dict[str | None, jwt.PyJWK] = {}
    for data in listed[:most] if isinstance(listed, list) else ():
        key = _key_of(data)
        if key is not None and key.algorithm_name in algorithms:
            found.setdefault(key.key_id, key)
    if not found:
        raise ValueError(f"it holds no key for {', '.join(algorithms)}")
    return found


def _key_of(data: Any) -> jwt.PyJWK | None:
    if not isinstance(data, dict) or data.get("kty") not in ("RSA", "EC", "OKP") or data.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(data)
    except UNBELIEVABLE:
        return None
    weak = data["kty"] == "RSA" and key.key.key_size < LEAST_RSA_BITS
    return None if weak or "d" in data else key


def _name(said: Any) -> str | None:
    """A name as the ledger and the labels may have it: short, printable, one word."""
    if not isinstance(said, str) or not 0 < len(said) <= LONGEST_NAME or not said.isprintable():
        return None
    return None if any(sign.isspace() or sign == "," for sign in said) else said
