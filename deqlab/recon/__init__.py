"""Reconstructors: every method is called as `image = reconstructor(kspace, A)`; `create` makes one
by name with fresh weights, `load` a trained one.
"""

from deqlab.recon.base import Budget, Outcome, Reconstructor
from deqlab.recon.registry import METHODS, create
from deqlab.recon.weights import load

__all__ = ["METHODS", "Budget", "Outcome", "Reconstructor", "create", "load"]
