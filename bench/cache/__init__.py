"""Benchmarks of the response cache."""
