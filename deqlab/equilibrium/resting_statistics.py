"""Running statistics of normalisation layers are those of training data, not of a solve."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


@contextmanager
def resting_statistics(f: Any) -> Iterator[None]:
    """Within, no evaluation of `f` touches the running mean and variance of its BatchNorm and
    InstanceNorm layers; in training they normalise by the batch as ever.

    A solve evaluates f many times, far from the equilibrium at first: after it the statistics would
    be those of the solver's way. f: a module, or whatever has one as its `f`; anything else is left
    as it is.
    """
    module = f if isinstance(f, nn.Module) else getattr(f, "f", None)
    found = [
        layer
        for layer in (module.modules() if isinstance(module, nn.Module) else ())
        if isinstance(layer, _NormBase) and layer.training and layer.track_running_stats
    ]
    for layer in found:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in found:
            layer.track_running_stats = True
