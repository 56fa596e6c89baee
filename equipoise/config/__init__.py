"""What an operator may say: schema, reading it with the origin of every value, and what is wrong with it."""

from equipoise.config.backend import BackendConfig, PriceConfig
from equipoise.config.errors import ConfigurationError, Problem
from equipoise.config.schema import Config
from equipoise.config.secret import Secret
from equipoise.config.sections import KeyConfig, ListenConfig, RetryConfig, RouteConfig

__all__ = [
    "BackendConfig",
    "Config",
    "ConfigurationError",
    "KeyConfig",
    "ListenConfig",
    "PriceConfig",
    "Problem",
    "RetryConfig",
    "RouteConfig",
    "Secret",
]
