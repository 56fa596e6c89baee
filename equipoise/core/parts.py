"""A client's body with its fields beside it, so that who reads it and who sends it on need not both look for them."""

from __future__ import annotations

import msgspec


class Parts(msgspec.Struct, frozen=True, gc=False):
    """The fields of `body`, each in the bytes that stand there. They are true of that very object and of no other."""

    body: bytes
    fields: dict[str, msgspec.Raw]
