"""A trained network's loss about its weights, along two random directions.

H. Li, Z. Xu, G. Taylor, C. Studer and T. Goldstein, Visualizing the loss landscape of neural nets,
NeurIPS 2018. A ReLU network is the same with one layer's weights doubled and the next one's halved,
so a step of one length means nothing; a direction is therefore scaled, filter by filter, to the
length that the filter of the trained weights has.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from deqlab.core.errors import InputError

Direction = dict[str, Tensor]


@dataclass(frozen=True)
class Landscape:
    """Three arrays of one shape (steps, steps), as plotting wants them.

    first, second: how far the weights were moved along each direction, relative to themselves.
    loss: there; not finite where it was not.
    """

    first: np.ndarray
    second: np.ndarray
    loss: np.ndarray


def filter_normalised(model: nn.Module, seed: int) -> Direction:
    """A random direction for every trainable weight of more than one axis, each filter (row of the
    first axis) as long as that of the model; biases and single numbers stay where they are.

    InputError for a model without such weights.
    """
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2 or not weight.requires_grad:
            continue
        values = torch.randn(weight.shape, generator=draw).to(weight)
        axes = tuple(range(1, weight.ndim))
        lengths = torch.linalg.vector_norm(values, dim=axes, keepdim=True)
        wanted = torch.linalg.vector_norm(weight.detach(), dim=axes, keepdim=True)
        found[name] = values * wanted / lengths.clamp_min(torch.finfo(values.dtype).tiny)
    if not found:
        raise InputError(f"{type(model).__name__}: no weights with filters to move")
    return found


@contextmanager
def moved(model: nn.Module, *steps: tuple[float, Direction]) -> Iterator[None]:
    """The model with its weights moved by steps along directions; as it was afterwards, to the
    bit, whatever happened between.
    """
    weights = dict(model.named_parameters())
    kept = {name: weights[name].detach().clone() for _, way in steps for name in way}
    try:
        with torch.no_grad():
            for size, way in steps:
                for name, values in way.items():
                    weights[name].add_(values, alpha=size)
        yield
    finally:
        with torch.no_grad():
            for name, values in kept.items():
                weights[name].copy_(values)


def landscape(
    model: nn.Module,
    loss: Callable[[], float | Tensor],
    reach: float = 0.5,
    steps: int = 21,
    seed: int = 0,
) -> Landscape:
    """loss() with the model's weights moved by -reach to reach along two filter-normalised
    directions.

    loss: of the model as it is when called; one that solves for an equilibrium decides itself how
        far. steps: along each direction; an odd number has the trained weights in the middle.
        seed: of the directions.
    InputError for fewer than two steps, or a reach that is not positive.
    """
    if steps < 2 or not reach > 0:
        raise InputError(
            f"landscape: {steps} steps of reach {reach} given, 2 at least and a positive one needed"
        )
    ways = filter_normalised(model, 2 * seed), filter_normalised(model, 2 * seed + 1)
    sizes = np.linspace(-reach, reach, steps)
    first, second = np.meshgrid(sizes, sizes, indexing="ij")
    values = np.empty(first.shape)
    for at in tqdm(list(np.ndindex(first.shape)), desc="landscape", disable=None, leave=False):
        with moved(model, (first[at], ways[0]), (second[at], ways[1])), torch.no_grad():
            values[at] = float(loss())
    return Landscape(first, second, values)
