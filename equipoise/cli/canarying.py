"""The canary of a running gateway as its admin listener steers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from equipoise.canary import Canary, Candidate, CandidateRefused
from equipoise.canary.candidates import MOST_SHOWN, beyond_steering, differences, outlined
from equipoise.core.ladder import Command
from equipoise.gateway.backends import key_required
from equipoise.gateway.canarying import CommandBody, Refused, StartBody

Document = dict[str, Any]


class Desk:
    """Turns bodies into orders. Where the listener has no key (`keyed`), a candidate cannot say where questions go."""

    def __init__(self, canary: Canary, keyed: Callable[[], bool] = lambda: True) -> None:
        self._canary, self._keyed = canary, keyed

    async def start(self, body: StartBody) -> Document:
        """Begin one. Raises Refused."""
        candidate = Candidate(name=body.name[:200] or "candidate", text=body.candidate, whole=body.whole)
        try:
            await self._require_harmless(candidate)
            return await self._canary.begin(
                candidate, body.at, force=body.force, dry_run=body.dry_run, who=body.who, why=body.why
            )
        except (CandidateRefused, OSError) as error:
            raise Refused(f"The candidate is refused: {error}") from error

    async def _require_harmless(self, candidate: Candidate) -> None:
        """Over HTTP nothing names code or files; and without a key, nothing says where questions go."""
        candidates = self._canary.candidates
        if brought := await candidates.code_in(candidate):
            told = ", ".join(brought[:MOST_SHOWN])
            raise CandidateRefused(f"{told}: code and files come from the configuration file only")
        if self._keyed():
            return
        different = differences(candidates.control(), await candidates.config(candidate))
        if beyond := beyond_steering(different):
            raise key_required(f"A candidate that differs in {', '.join(outlined(beyond)[:MOST_SHOWN])} is tried")

    async def order(self, command: Command, body: CommandBody) -> Document:
        """Steer it."""
        return await self._canary.order(
            command, full=body.full, share=body.weight, dry_run=body.dry_run, who=body.who, why=body.why
        )

    async def status(self) -> Document:
        """Where it stands."""
        return await self._canary.status()
