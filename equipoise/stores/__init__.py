"""Memory that outlives the process; never on the request path."""

from equipoise.stores.ledger import Ledger
from equipoise.stores.sqlite import StoreError

__all__ = ["Ledger", "StoreError"]
