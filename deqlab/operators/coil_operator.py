"""Operators whose coil maps may be learned: A = E C, with E the same for every coil.

The fast paths of an operator keep no graph, so nothing reaches its maps. Where they require a
gradient, the product with them is left to autograd and E alone is differentiated by its adjoint.
"""

from typing import Self

import torch
from torch import Tensor

from deqlab.operators.linear import LinearOperator


class CoilOperator(LinearOperator):
    """A = E C: C multiplies by `coil_maps`, complex (batch | 1, coil, *shape), and E measures every
    coil image alike. A, A.H and A.normal are differentiable in the maps, too, and twice.
    """

    coil_maps: Tensor | None

    def with_maps(self, coil_maps: Tensor | None) -> Self:
        """The operator with other maps, complex (coil, *shape) or (batch, coil, *shape), None for a
        single coil; all else is shared with this one. Gradients reach maps that require them.
        """
        raise NotImplementedError

    @property
    def maps_are_learned(self) -> bool:
        """Whether a gradient is wanted for the maps, here and now."""
        maps = self.coil_maps
        return maps is not None and maps.requires_grad and torch.is_grad_enabled()

    def forward(self, image: Tensor) -> Tensor:
        """A x."""
        if not self.maps_are_learned:
            return super().forward(image)
        coil_images = self._maps(image) * image.unsqueeze(1)
        kspace = self._of_one_coil(coil_images)(coil_images.flatten(0, 1))
        return kspace.squeeze(1).unflatten(0, coil_images.shape[:2])

    def H(self, kspace: Tensor) -> Tensor:
        """A^H y."""
        if not self.maps_are_learned:
            return super().H(kspace)
        coil_images = self._of_one_coil(kspace).H(kspace.flatten(0, 1).unsqueeze(1))
        return (self._maps(kspace).conj() * coil_images.unflatten(0, kspace.shape[:2])).sum(1)

    def normal(self, image: Tensor) -> Tensor:
        """A^H A x."""
        if not self.maps_are_learned:
            return super().normal(image)
        maps = self._maps(image)
        coil_images = maps * image.unsqueeze(1)
        seen = self._of_one_coil(coil_images).normal(coil_images.flatten(0, 1))
        return (maps.conj() * seen.unflatten(0, coil_images.shape[:2])).sum(1)

    def _maps(self, like: Tensor) -> Tensor:
        assert self.coil_maps is not None, "only called where maps are learned"
        return self.coil_maps.to(like.dtype)

    def _of_one_coil(self, like: Tensor) -> LinearOperator:
        """E for a batch in which the coils of `like`, (batch, coil, ...), stand one by one."""
        E = self.with_maps(None)
        if E.members == 1:
            return E
        members = torch.arange(len(like), device=like.device)
        return E.select(members.repeat_interleave(like.shape[1]))
