"""What is remembered of answers that went out, so that a later opinion finds the one it is about. Never their words."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from equipoise.scoring.opinions import Opinion


class Known(msgspec.Struct, gc=False):
    """One answer: whose it was, how the rules scored it (None: not sampled), and the opinions of it."""

    request_id: str
    attempt: int
    backend_id: str
    route: str
    tenant: str
    kind: str
    role: str
    score: float | None = None
    opinions: dict[str, Opinion] = {}


class Recent:
    """The newest answers by request id and tenant, at most `capacity`; the oldest are forgotten.

    Clients may choose ids, and two tenants the same: what one says is never of the other's answer.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[tuple[str, str], Known] = OrderedDict()

    def add(self, known: Known) -> None:
        """Remember one; a tenant's second request under the same id takes the place of the first."""
        name = (known.request_id, known.tenant)
        remembered = self._known
        if name in remembered:
            del remembered[name]
        remembered[name] = known
        if len(remembered) > self._capacity:
            remembered.popitem(last=False)

    def get(self, request_id: str, tenant: str | None = None) -> Known | None:
        """This tenant's answer (None: anybody's, the newest), or None when it is no longer remembered."""
        if tenant is not None:
            return self._known.get((request_id, tenant))
        return next((self._known[name] for name in reversed(self._known) if name[0] == request_id), None)

    def __len__(self) -> int:
        return len(self._known)
