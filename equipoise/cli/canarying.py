"""The canary of a running gateway as its admin listener steers it."""

from __future__ import annotations

from typing import Any

from equipoise.canary import Canary, Candidate, CandidateRefused
from equipoise.core.ladder import Command
from equipoise.gateway.canarying import CommandBody, Refused, StartBody

Document = dict[str, Any]


class Desk:
    """Turns bodies into orders."""

    def __init__(self, canary: Canary) -> None:
        self._canary = canary

    async def start(self, body: StartBody) -> Document:
        """Begin one. Raises Refused."""
        candidate = Candidate(name=body.name[:200] or "candidate", text=body.candidate, whole=body.whole)
        try:
            return await self._canary.begin(
                candidate, body.at, force=body.force, dry_run=body.dry_run, who=body.who, why=body.why
            )
        except (CandidateRefused, OSError) as error:
            raise Refused(f"The candidate is refused: {error}") from error

    async def order(self, command: Command, body: CommandBody) -> Document:
        """Steer it."""
        return await self._canary.order(
            command, full=body.full, share=body.weight, dry_run=body.dry_run, who=body.who, why=body.why
        )

    async def status(self) -> Document:
        """Where it stands."""
        return await self._canary.status()
