"""Coil maps, compression, whitening, simulation."""
