"""Gateways on several hosts, as far as one machine can be several: no shared folder, one Redis."""
