"""Reconstructors: every method is called as `image = reconstructor(kspace, A)`; `create` and
`load_pretrained` make them by name.
"""

from deqlab.recon.registry import create, names
from deqlab.recon.weights import load_pretrained

__all__ = ["create", "load_pretrained", "names"]
