"""Tensors and the physics of a scan: Fourier transform, crops, masks, Bloch signal, coil maps,
phantoms.
"""
