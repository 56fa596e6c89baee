"""Many gateways of one fleet in virtual time: how far they stray from one as they speak to each other less often."""
