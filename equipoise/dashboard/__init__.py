"""Pages for operators on the admin listener: made on the server, escaped by construction, never beside a question's path."""

from equipoise.dashboard.dashboard import Dashboard

__all__ = ["Dashboard"]
