"""An old side and a new one side by side, and the move from one to the other in five phases.

    migration = side_by_side(LoadBalancer.from_config("equipoise.yaml"), old_router, store="state.sqlite3")
    async with migration.balancer as balancer:                   # everything a LoadBalancer can
        reply = await balancer.ask("What is lactate?", session="u-7")
        reply.role                                               # "control" (old) or "candidate" (new)
        await migration.apply(Order(phase=1, who="ann", why="start"))
        await migration.rollback(0, who="ann", why="enough")

`Migration` has `status`, `plan`, `apply`, `rollback`, `checks`, `validate`; all give plain documents. Those of `apply` and
`rollback` have an `outcome`: applied, unchanged, refused (order, hold, or overtaken), check_failed, gate_failed, planned,
rolled_back; with `reason`, `before`, `after`, `checks`, `validation` and `gates`. A running gateway offers the same over
its admin listener: see `equipoise.gateway.migrating`.
"""

from equipoise.core.rollout import PHASES, Criteria, Evidence, Gate, Order, Phase, Result, State, candidate_takes
from equipoise.migration.assembly import answerers, from_config, side_by_side
from equipoise.migration.checks import Check
from equipoise.migration.incumbent import Answerer, HTTPIncumbent, IncumbentClient
from equipoise.migration.migration import Migration
from equipoise.migration.reading import Prediction, read_result
from equipoise.migration.settings import INCUMBENT, QUERIES, Settings
from equipoise.migration.split import SplitBalancer

__all__ = [
    "INCUMBENT",
    "PHASES",
    "QUERIES",
    "Answerer",
    "Check",
    "Criteria",
    "Evidence",
    "Gate",
    "HTTPIncumbent",
    "IncumbentClient",
    "Migration",
    "Order",
    "Phase",
    "Prediction",
    "Result",
    "Settings",
    "SplitBalancer",
    "State",
    "answerers",
    "candidate_takes",
    "from_config",
    "read_result",
    "side_by_side",
]
