"""What operators see: metrics and log lines, made beside the request path."""

from equipoise.telemetry.access_log import AccessLog
from equipoise.telemetry.log import set_up_logging
from equipoise.telemetry.prometheus import Metrics

__all__ = ["AccessLog", "Metrics", "set_up_logging"]
