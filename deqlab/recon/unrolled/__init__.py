"""Iterations of a fixed number, each step with a network."""
