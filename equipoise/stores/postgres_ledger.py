"""The ledger's tables in a PostgreSQL server; records go there by way of a journal of this machine."""

from __future__ import annotations

import logging
from pathlib import Path

from equipoise.stores.books import Books, Chore
from equipoise.stores.database import Schema
from equipoise.stores.insertion import OnUnwritable
from equipoise.stores.postgres import PostgresDatabase
from equipoise.stores.postgres_server import ANSWER_SECONDS, PostgresServer
from equipoise.stores.shipping import ShippedBooks, Shipping

SHIPPING_SECONDS = 15.0
"""How long one portion of records, or a chore, may take."""
logger = logging.getLogger("equipoise.ledger")


class PostgresLedger(PostgresDatabase):
    """Whoever puts records into it shares one journal, of at most `most_bytes` bytes in the folder."""

    def __init__(
        self,
        server: PostgresServer,
        schema: Schema,
        folder: Path,
        patience: float = ANSWER_SECONDS,
        *,
        most_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        super().__init__(server, schema, folder, patience)
        self._most_bytes = most_bytes
        self._shipping: Shipping | None = None

    def books(self, table: str, on_unwritable: OnUnwritable, chore: Chore) -> Books:
        """As Database has it."""
        if self._shipping is None or self._shipping.closed:
            written = PostgresDatabase(self.server, self.schema, self.folder, SHIPPING_SECONDS)
            self._shipping = Shipping(written, self.folder, most_bytes=self._most_bytes, on_error=logger.warning)
        return ShippedBooks(self._shipping, table, on_unwritable, chore)
