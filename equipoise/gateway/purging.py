"""The response cache over the admin listener.

GET  /admin/cache         how much is kept, and the answers asked for last, without their words
POST /admin/cache/purge   {}: let go of all of it; {"tenant": "team"}, {"route": "auto"}, {"corpus": "papers"}: of theirs
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from equipoise.gateway.caching import ResponseCache
from equipoise.gateway.configuring import read_body
from equipoise.http import Request

LIST, PURGE = "/admin/cache", "/admin/cache/purge"


class PurgeBody(msgspec.Struct, forbid_unknown_fields=True):
    """Whose answers go; without a word, everybody's."""

    tenant: str | None = None
    route: str | None = None
    corpus: str | None = None


def operations(cache: ResponseCache) -> Mapping[tuple[str, str], Callable[[Request], Awaitable[dict[str, Any]]]]:
    """Method and path to what is done there."""

    async def listed(request: Request) -> dict[str, Any]:
        return cache.status()

    async def purge(request: Request) -> dict[str, Any]:
        body = read_body(request.body, PurgeBody)
        return {"done": "purge", **await cache.purge_all(body.tenant, body.route, body.corpus)}

    return {("GET", LIST): listed, ("POST", PURGE): purge}
