"""Several processes on one port, measured."""
