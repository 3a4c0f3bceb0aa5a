"""Reconstructors: every method is called as `image = reconstructor(kspace, A)`; `create` and `load_pretrained` make them by name."""

from deqlab.recon.pretrained import load_pretrained
from deqlab.recon.registry import create, names

__all__ = ["create", "load_pretrained", "names"]
