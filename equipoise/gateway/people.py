"""Who is at the admin listener, and whether that suffices for what is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from equipoise.core.callers import SOMEBODY_HERE, Caller, Role
from equipoise.core.ladder import Command
from equipoise.gateway import alerting, breakers, canarying, explaining, migrating
from equipoise.gateway.keys import ClientKeys
from equipoise.gateway.problems import Problem, expired_key, wrong_key
from equipoise.http import Headers, Request

Session: TypeAlias = Callable[[Request], Caller | None]
BACKENDS = "/admin/backends"
READING = frozenset({"GET", "HEAD", "OPTIONS"})
LOOKED_AT = frozenset({explaining.EXPLAIN})
"""What is posted and changes nothing."""
STEERING = frozenset({"drain", "resume", "weight", breakers.OPEN, breakers.CLOSE})
OPERATED = frozenset(
    {
        alerting.ACK,
        alerting.TEST,
        f"{canarying.STATE}/{Command.PAUSE.value}",
        f"{canarying.STATE}/{Command.ABORT.value}",
        migrating.ROLLBACK,
        migrating.CHECKS,
    }
)
"""What takes load or risk away, or only looks closely."""


class People:
    """Tells who a request comes from: an admin key, a token with a role, or a session that somebody opened with one.

    Without admin keys (and tokens beside them) it is anybody on this machine. `sessions` may be added to.
    """

    def __init__(self, keys: ClientKeys | None = None) -> None:
        self._keys, self.sessions = keys, list[Session]()

    def accept(self, keys: ClientKeys | None) -> None:
        """Take these admin keys from now on."""
        self._keys = keys

    @property
    def keyed(self) -> bool:
        """Must people show who they are?"""
        return self._keys is not None

    def who(self, request: Request) -> Caller | None:
        """The person with a role that is good now; None for a stranger."""
        if not self.keyed:
            return SOMEBODY_HERE
        found = self._known(request.headers) or next(
            (who for session in self.sessions if (who := session(request)) is not None), None
        )
        return found if found is not None and found.role is not None else None

    def require(self, request: Request) -> Caller:
        """The person; raises Problem 401 for a stranger."""
        person = self.who(request)
        if person is None:
            raise expired_key() if self._expired(request.headers) else wrong_key()
        return person

    def _known(self, headers: Headers) -> Caller | None:
        found = self._keys.caller(headers) if self._keys is not None else None
        return None if found is None or self._keys is None or self._keys.expired(found) else found

    def _expired(self, headers: Headers) -> bool:
        found = self._keys.caller(headers) if self._keys is not None else None
        return found is not None and self._keys is not None and self._keys.expired(found)


def needed(method: str, path: str) -> Role:
    """The least role that may do this; whatever nobody thought of is admin's."""
    if method in READING or path in LOOKED_AT:
        return Role.VIEW
    steers = path.startswith(BACKENDS + "/") and path.rpartition("/")[2] in STEERING
    return Role.OPERATE if steers or path in OPERATED else Role.ADMIN


def require_role(person: Caller, request: Request) -> None:
    """Raise Problem 403 where the person's role does not suffice."""
    wanted = needed(request.method, request.path)
    if person.role is None or not person.role.covers(wanted):
        message = (
            f"This takes the role {wanted.value}, and {person.key} has {person.role.value if person.role else 'none'}."
        )
        raise Problem(403, "role_not_sufficient", message, should_retry=False)
