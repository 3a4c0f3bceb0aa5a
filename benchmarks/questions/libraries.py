"""Peers, imported only when asked for: torchdeq and deepinv behind the same two calls as deqlab.

Both work on real tensors: `as_real` hands them the complex state as pairs, so that their inner
products, which do not conjugate, are right.
"""

import importlib
import importlib.metadata
import sys
from types import ModuleType

import torch

from questions.methods import Backward, Forward

PEERS = ("torchdeq", "deepinv")


def load(name: str) -> ModuleType | str:
    """The library, or why it cannot be had."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        return "not installed" if error.name == name else f"cannot be imported: {error}"
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
    # torchvision's wheel on PyPI is made for torch's CUDA build. Beside the CPU build its compiled
    # operators do not load, and its import fails where it describes two of them. Nothing here calls
    # them, so their names are enough.
    for loaded in [key for key in sys.modules if key.split(".")[0] in ("torchvision", name)]:
        del sys.modules[loaded]
    for operator in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{operator}", "(Tensor boxes, Tensor scores, float threshold) -> Tensor"
        )
    return importlib.import_module(name)


def version(name: str) -> str | None:
    """Its version, None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def forwards(memory: int) -> tuple[list[Forward], dict[str, str]]:
    """All solvers that can be had, and for each peer that cannot, why."""
    return _collect("forwards", memory)


def backwards(tolerance: float, budget: int) -> tuple[list[Backward], dict[str, str]]:
    """All gradients that can be had, and for each peer that cannot, why."""
    return _collect("backwards", tolerance, budget)


def _collect(what: str, *arguments) -> tuple[list, dict[str, str]]:
    methods = list(getattr(importlib.import_module("questions.ours"), what)(*arguments))
    absent = {}
    for peer in PEERS:
        found = load(peer)
        if isinstance(found, str):
            absent[peer] = found
        else:
            methods += getattr(importlib.import_module(f"questions.with_{peer}"), what)(*arguments)
    return methods, absent
