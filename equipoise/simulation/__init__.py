"""The same core in virtual time against modelled backends: a million questions in minutes, nothing is asked."""

from equipoise.simulation.run import simulate
from equipoise.simulation.story import Story

__all__ = ["Story", "simulate"]
