"""The integration guide does what it says."""
