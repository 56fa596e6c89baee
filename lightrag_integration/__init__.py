"""The load balancer as specified, over Equipoise: for applications that were built on these names."""

from .deploy_production_load_balancer import ProductionDeploymentManager
from .migration import PRODUCTION_LB_FEATURES, HybridQueryRouter, RoutingResult
from .production_config_schema import *  # noqa: F403
from .production_config_schema import __all__ as _configuration
from .production_load_balancer import *  # noqa: F403
from .production_load_balancer import __all__ as _balancer

__all__ = [
    "PRODUCTION_LB_FEATURES", "HybridQueryRouter", "ProductionDeploymentManager", "RoutingResult",
    *_configuration, *_balancer,
]  # fmt: skip
