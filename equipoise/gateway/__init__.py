"""HTTP in: the dialects of clients, the routes, the operator's listener."""

from __future__ import annotations

from equipoise.gateway.gateway import Gateway
from equipoise.gateway.keys import ClientKeys
from equipoise.gateway.run import run_gateway

__all__ = ["ClientKeys", "Gateway", "run_gateway"]
