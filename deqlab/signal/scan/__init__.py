"""Bloch signal, precession, gradients, phantoms."""
