"""Several processes on one port: a parent that supervises, workers that answer, and what they tell each other.

Every worker decides on what it knows itself; what must be true over all of them is exchanged in batches beside the
questions. The exchange is an interface (`exchange.Exchange`): here it is a pair of sockets to the parent.
"""

from equipoise.workers.exchange import Exchange, Hint, Report
from equipoise.workers.hub import Hub
from equipoise.workers.member import Member
from equipoise.workers.supervisor import Supervisor

__all__ = ["Exchange", "Hint", "Hub", "Member", "Report", "Supervisor"]
