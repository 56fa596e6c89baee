"""Backends over real sockets that speak real wire formats, with faults that can be switched while they run."""

from equipoise.sandbox.backend import SandboxBackend
from equipoise.sandbox.faults import Faults
from equipoise.sandbox.profile import FLEET, Profile, seeded

__all__ = ["FLEET", "Faults", "Profile", "SandboxBackend", "seeded"]
