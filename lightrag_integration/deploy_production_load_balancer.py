"""The five phases by the specified command line, carried out by the running gateway: `equipoise migrate` in other words.

Right where the earlier script was wrong: the state lives in the gateway, so separate commands agree; traffic is really
split; checks check and criteria are enforced; phases come in order; a rollback is possible from any phase.
"""

from __future__ import annotations

from typing import Any

from equipoise.cli import migrating
from equipoise.cli.deploying import main
from equipoise.cli.watching import watched

__all__ = ["ProductionDeploymentManager", "main"]
SAMPLE_SECONDS = 5.0


class ProductionDeploymentManager:
    """The move of a running gateway, as functions; raises cli.exits.Failure when none answers.

    `last` holds the whole document of what was done last: outcome, reason, checks, gates, validation.
    """

    def __init__(self, environment: str = "development", admin_url: str | None = None) -> None:
        self.environment, self.url = environment, migrating.admin_url(admin_url)
        self.last: dict[str, Any] = {}

    async def initialize_systems(self) -> bool:
        """Is a gateway with a migration there?"""
        self.last = await migrating.fetch_status(self.url)
        return bool(self.last)

    async def run_pre_deployment_checks(self) -> dict[str, bool]:
        """Variables, connections, health endpoints, configuration, resources, looked at now: has each not failed?"""
        self.last = await migrating.fetch_checks(self.url)
        return {check["name"]: check["state"] != "failed" for check in self.last["checks"]}

    async def deploy_phase(self, phase: int, force: bool = False) -> bool:
        """Begin a phase, after its checks, gates and validation queries; says whether it was done."""
        order = {"phase": phase, "force": force, "who": migrating.myself(), "why": self._why()}
        self.last = await migrating.send_apply(self.url, order)
        return self.last["outcome"] in ("applied", "unchanged")

    async def rollback_to_phase(self, phase: int) -> bool:
        """Go back, from any phase, at once; 0 is before the first."""
        order = {"phase": phase, "who": migrating.myself(), "why": self._why()}
        self.last = await migrating.send_rollback(self.url, order)
        return bool(self.last["outcome"] == "rolled_back")

    async def run_phase_validation(self, phase: int) -> bool:
        """Send a phase's validation queries to the new side (they cost money); were all answered?"""
        self.last = await migrating.send_validate(self.url, phase)
        return all(row["answered"] for row in self.last["validation"])

    async def run_health_monitoring(self, duration_seconds: float) -> dict[str, Any]:
        """{start_time, duration_seconds, samples, summary{average_available_backends, total_samples,
        monitoring_completed}}"""
        self.last = await watched(self.url, duration_seconds, SAMPLE_SECONDS)
        return self.last

    async def cleanup(self) -> None:
        """Nothing is held open between two calls."""

    def _why(self) -> str:
        return f"{self.environment}, by deploy_production_load_balancer"


if __name__ == "__main__":
    raise SystemExit(main())
