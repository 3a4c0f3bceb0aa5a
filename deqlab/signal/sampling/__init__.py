"""Masks, patterns, trajectories, density, point spread."""
