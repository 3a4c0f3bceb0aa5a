"""Fourier, crops, wavelets, finite differences."""
