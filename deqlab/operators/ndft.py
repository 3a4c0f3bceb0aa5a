"""The Fourier transform off the grid as it is defined, by matrix products: the reference that
faster operators are held to.
"""

import math

import torch
from torch import Tensor

from deqlab.operators.members import of_member
from deqlab.operators.noncartesian import NonCartesianOperator

# Products of about this size are held at a time, so that memory does not grow with the number of
# samples.
BLOCK_BYTES = 2**24


class NDFTOperator(NonCartesianOperator):
    """A = W^(1/2) F C with F exact to rounding; signature and conventions of
    `NonCartesianOperator`.

    The exponential of k . n is a product over the axes, so that the (samples, pixels) matrix is
    never formed. Each sample still costs a pass over all pixels: for small problems and for tests.
    """

    def _transform(self, member: int, coil_images: Tensor) -> Tensor:
        found = []
        for phases in self._phases(member, coil_images):
            # (coil, y, x): the first axis by a matrix product for all samples, each further one
            # sample by sample.
            rest = (phases[0] @ coil_images.flatten(2)).unflatten(-1, self.shape[1:])
            for phase in phases[1:]:
                rest = torch.einsum("cmn...,mn->cm...", rest, phase)
            found.append(rest)
        return torch.cat(found, dim=-1)

    def _transform_adjoint(self, member: int, samples: Tensor) -> Tensor:
        image, first = samples.new_zeros(len(samples), self.shape[0], math.prod(self.shape[1:])), 0
        for phases in self._phases(member, samples):
            rest = samples[:, first : first + len(phases[0])]
            for phase in phases[1:]:
                rest = torch.einsum("cm...,mn->cm...n", rest, phase.conj())
            image += phases[0].mH @ rest.flatten(2)
            first += len(phases[0])
        return image.unflatten(-1, self.shape[1:])

    def _phases(self, member: int, like: Tensor) -> list[tuple[Tensor, ...]]:
        """exp(-2 pi i k (n - N // 2)) along each axis, complex (block of samples, N), block after
        block.
        """
        points = of_member(self.trajectory, member).to(like.device, torch.float64)
        one = len(like) * math.prod(self.shape[1:]) * like.element_size()
        return [
            tuple(
                _phase(block[:, axis], size).to(like.dtype) for axis, size in enumerate(self.shape)
            )
            for block in points.split(max(1, BLOCK_BYTES // one))
        ]


def _phase(k: Tensor, size: int) -> Tensor:
    pixels = torch.arange(size, dtype=k.dtype, device=k.device) - size // 2
    return torch.exp(-2j * torch.pi * torch.outer(k, pixels))
