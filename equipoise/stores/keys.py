"""Keys made at run time: their terms and digests in the state store, shared by every process that reads it."""

from __future__ import annotations

import hashlib
import secrets
import string
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from equipoise.core.callers import KEY_PREFIX, Caller, Role
from equipoise.stores.database import StoreError
from equipoise.stores.state import Entry, StateConflict, StateStore

CLIENTS, OPERATORS = "keys", "admin_keys"
"""Where either kind is kept: apart, so that an older version never takes one for the other."""
ALPHABET = string.digits + string.ascii_letters
SECRET_LENGTH, CHECK_LENGTH = 43, 6  # 43 of 62 signs are 256 bits
TRIES = 20
ROTATION_SECONDS = 86_400.0


class Secret(msgspec.Struct, frozen=True):
    """One secret of a key: its SHA-256 (hexadecimal), what people see of it, and until when it is good."""

    sha256: str
    hint: str
    until: float | None = None


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key as the store keeps it; times are Unix seconds. The newest secret comes first."""

    name: str
    tenant: str = "default"
    secrets: tuple[Secret, ...] = ()
    created: float = 0.0
    expires: float | None = None
    revoked: float | None = None
    routes: tuple[str, ...] | None = None
    strategies: tuple[str, ...] | None = None
    budgets: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    data_class: tuple[str, ...] = ()
    role: Role | None = None

    def callers(self) -> Iterator[tuple[str, Caller]]:
        """Each secret's digest with its terms, nothing when it was revoked."""
        if self.revoked is not None:
            return
        for secret in self.secrets:
            ends = [moment for moment in (secret.until, self.expires) if moment is not None]
            yield (
                secret.sha256,
                Caller(
                    key=self.name,
                    tenant=self.tenant,
                    routes=None if self.routes is None else frozenset(self.routes),
                    strategies=None if self.strategies is None else frozenset(self.strategies),
                    budgets=self.budgets,
                    requests_per_minute=self.requests_per_minute,
                    tokens_per_minute=self.tokens_per_minute,
                    expires=min(ends, default=None),
                    data_classes=frozenset(self.data_class),
                    role=self.role,
                ),
            )


class NoSuchKey(StoreError):
    """There is no key of this name, or there is one already."""


def new_secret() -> str:
    """A key of 256 random bits: `sk-eq-`, 43 letters and digits, and a checksum of six by which a scanner can tell it
    from noise."""
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return f"{KEY_PREFIX}{secret}{checksum(secret)}"


def checksum(secret: str) -> str:
    """The CRC-32 of the random part in six letters and digits."""
    rest, signs = zlib.crc32(secret.encode()), ""
    for _ in range(CHECK_LENGTH):
        rest, sign = divmod(rest, len(ALPHABET))
        signs = ALPHABET[sign] + signs
    return signs


def hint_of(key: str) -> str:
    """What people may see of a key: its beginning and its last four signs."""
    return f"{key[: len(KEY_PREFIX) + 4]}\N{HORIZONTAL ELLIPSIS}{key[-4:]}"


class KeyStore:
    """Creates, lists, revokes and rotates the keys of clients, or of operators. Methods block for a moment; all may raise
    StoreError."""

    def __init__(self, store: StateStore, wall: Callable[[], float] = time.time, state: str = CLIENTS) -> None:
        self._store, self._wall, self._state = store, wall, state

    def all(self) -> list[StoredKey]:
        """Every key there ever was, revoked ones too."""
        return self.look()[1]

    def look(self) -> tuple[int, list[StoredKey]]:
        """The version of what is stored, and all of it."""
        version, state = self._store.read(self._state)
        return version, msgspec.convert((state or {}).get("keys", []), list[StoredKey])

    def create(self, key: StoredKey, who: str = "") -> tuple[str, StoredKey]:
        """Store a new key under its name; gives its secret, which is kept nowhere. A name is never used twice."""
        secret = new_secret()
        made = msgspec.structs.replace(key, secrets=(_kept(secret),), created=self._wall())

        def add(keys: list[StoredKey]) -> list[StoredKey]:
            if any(other.name == key.name for other in keys):
                raise NoSuchKey(f"there is or was a key {key.name} already; the ledger knows keys by name")
            return [*keys, made]

        self._change(add, "created", key.name, who)
        return secret, made

    def revoke(self, name: str, who: str = "") -> StoredKey:
        """Make all secrets of a key worthless at once, for ever."""
        return self._replace(name, "revoked", who, lambda key: msgspec.structs.replace(key, revoked=self._wall()))

    def rotate(self, name: str, grace: float = ROTATION_SECONDS, who: str = "") -> tuple[str, StoredKey]:
        """Give a key a new secret; the former ones stay good for `grace` seconds, no longer than they were."""
        secret, until = new_secret(), self._wall() + grace

        def change(key: StoredKey) -> StoredKey:
            ending = [Secret(s.sha256, s.hint, min(until, s.until or until)) for s in key.secrets]
            kept = [s for s in ending if (s.until or 0) > self._wall()]
            return msgspec.structs.replace(key, secrets=(_kept(secret), *kept))

        return secret, self._replace(name, "rotated", who, change)

    def _replace(self, name: str, what: str, who: str, change: Callable[[StoredKey], StoredKey]) -> StoredKey:
        changed: list[StoredKey] = []

        def apply(keys: list[StoredKey]) -> list[StoredKey]:
            found = next((key for key in keys if key.name == name), None)
            if found is None or found.revoked is not None:
                raise NoSuchKey(f"there is no key {name}" if found is None else f"the key {name} was revoked")
            changed[:] = [change(found)]
            return [changed[0] if key.name == name else key for key in keys]

        self._change(apply, what, name, who)
        return changed[0]

    def _change(self, change: Callable[[list[StoredKey]], list[StoredKey]], what: str, name: str, who: str) -> None:
        for _ in range(TRIES):
            version, keys = self.look()
            value: dict[str, Any] = {"keys": msgspec.to_builtins(change(keys))}
            try:
                self._store.write(
                    self._state, value, version, Entry(what=what, who=who, why="", evidence={"key": name})
                )
            except StateConflict:
                continue  # somebody else was quicker: look again
            return
        raise StoreError("the keys are being changed by too many at once; try again")


def _kept(secret: str) -> Secret:
    return Secret(hashlib.sha256(secret.encode()).hexdigest(), hint_of(secret))
