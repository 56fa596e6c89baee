"""Equipoise: a load balancer and gateway for answer engines."""

__version__ = "0.1.0"
