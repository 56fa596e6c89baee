"""What a sandbox backend counts while it runs."""

from __future__ import annotations

import msgspec

from equipoise.core.model import NanoUSD, dollars
from equipoise.sandbox.script import Script, document


class Stats(msgspec.Struct):
    """Counts since the start. `paid` are calls a provider would charge for, `probes` the free ones."""

    requests: int = 0
    probes: int = 0
    paid: int = 0
    answered: int = 0
    failed: int = 0
    cut: int = 0
    in_flight: int = 0
    billed: NanoUSD = 0
    by_path: dict[str, int] = {}

    def arrived(self, path: str, *, free: bool) -> None:
        """Count a request at a known path."""
        self.requests += 1
        self.probes += free
        self.by_path[path] = self.by_path.get(path, 0) + 1

    def as_json(self) -> Script:
        """The counts, money as exact dollars."""
        fields = msgspec.structs.asdict(self)
        return document({"billed_usd": dollars(fields.pop("billed"))} | fields)

    def ended(self, status: int) -> None:
        """Count a response that was sent to its end."""
        self.answered += status < 400
        self.failed += status >= 400
