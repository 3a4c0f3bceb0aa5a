"""A denoiser that is shown its image turned by a phase map, and whose answer is turned back."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.networks.protocol import of_members


@dataclass(frozen=True)
class Turned:
    """x -> p R(conj(p) x): a denoiser that knows the phase 0 alone meets no other where p is the
    phase of x. phase: p, complex (batch, y, x) of modulus 1.
    """

    denoiser: Callable[[Tensor], Tensor]
    phase: Tensor

    def __call__(self, image: Tensor) -> Tensor:
        return self.phase * self.denoiser(self.phase.conj() * image)

    def select(self, index: Tensor) -> "Turned":
        """That of the batch members in `index`."""
        return Turned(of_members(self.denoiser, index), self.phase[index])


def unit_phase(image: Tensor) -> Tensor:
    """z / |z|, and 1 where z is 0: complex of modulus 1 everywhere, with finite slopes."""
    size = image.abs()
    there = size > 0
    return torch.where(
        there, image / torch.where(there, size, torch.ones_like(size)), torch.ones_like(image)
    )
