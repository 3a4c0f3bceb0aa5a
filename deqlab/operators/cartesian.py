"""Cartesian sampling with one or many coils: A = M F C.

C multiplies by the coil maps, F is the centred Fourier transform, M keeps the sampled positions.
The centring shifts are products with phases (`centring_phases`); they are folded into C and M, so
that A costs little more than the bare transform.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.coil_operator import CoilOperator
from deqlab.operators.members import selected
from deqlab.operators.sampled_transforms import LineSampling, PointSampling, normal, sampling
from deqlab.signal.transforms.fourier import centring_phases


class CartesianOperator(CoilOperator):
    """A = M F C: image (batch, y, x) to k-space (batch, coil, y, x), zero where nothing was
    sampled; volumes (batch, z, y, x) likewise.

    mask: bool, (x,) for whole phase-encode lines, (y, x) for a two-dimensional pattern, or with
        batch and coil axes, (batch | 1, 1, y | 1, x). Of a volume also (z, y, x), or (batch | 1, 1,
        z | 1, y | 1, x).
    coil_maps: complex (coil, y, x) or (batch, coil, y, x); None for a single coil, whose k-space
        keeps a coil axis of length 1.
    dimensions: 2 for images, 3 for volumes, whose maps are (coil, z, y, x) or (batch, coil, z, y,
    x). With maps that satisfy sum over coils |c|^2 = 1 the operator's norm is at most 1.
    Buffers `mask` and `coil_maps` follow `.to(device)`; they are read, never changed, after
    construction. Maps that require a gradient get one (see `CoilOperator`).
    """

    mask: Tensor
    coil_maps: Tensor | None

    def __init__(self, mask: Tensor, coil_maps: Tensor | None = None, dimensions: int = 2):
        super().__init__()
        if dimensions not in (2, 3):
            raise InputError(
                f"dimensions: {dimensions} given, 2 for images or 3 for volumes needed"
            )
        self.dimensions = dimensions
        mask = _with_axes(mask.to(torch.bool), dimensions + 2, "mask")
        if coil_maps is not None:
            coil_maps = _with_axes(coil_maps, dimensions + 2, "coil_maps")
            if not coil_maps.is_complex():
                raise InputError(f"coil_maps: {coil_maps.dtype} given, complex needed")
            try:
                torch.broadcast_shapes(mask.shape, coil_maps.shape)
            except RuntimeError:
                raise InputError(
                    f"mask of shape {tuple(mask.shape)} does not fit coil_maps of shape"
                    f" {tuple(coil_maps.shape)}; their {self._size_words} must agree"
                ) from None
        self.register_buffer("mask", mask)
        self.register_buffer("coil_maps", coil_maps)
        self._folded: dict = {}

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        self._folded = {}
        return super()._apply(fn, *args, **kwargs)

    @property
    def coils(self) -> int:
        """Number of receive coils."""
        return 1 if self.coil_maps is None else self.coil_maps.shape[1]

    @property
    def is_projection(self) -> bool:
        """With one coil A^H A keeps the sampled k-space and nothing else."""
        return self.coil_maps is None

    def _factors(self, like: Tensor) -> tuple[Tensor, Tensor, PointSampling | LineSampling]:
        """C with the centring phases folded in, its conjugate, and M F, for images like `like`."""
        self._check(like)
        shape = like.shape[-self.dimensions :]
        key = (*shape, like.dtype, like.device)
        if key not in self._folded:
            of_image, of_kspace = (
                _outer(phases)
                for phases in zip(*(centring_phases(length, like) for length in shape))
            )
            maps = of_image[None, None]
            if self.coil_maps is not None:
                maps = maps * self.coil_maps.to(like.dtype)
            weights = of_kspace * self.mask / math.sqrt(math.prod(shape))
            self._folded = {key: (maps, maps.conj().resolve_conj(), sampling(weights, self.mask))}
        return self._folded[key]

    def _check(self, tensor: Tensor) -> None:
        if not tensor.is_complex():
            raise InputError(f"the operator takes complex tensors, {tensor.dtype} given")
        d = self.dimensions
        size = torch.broadcast_shapes(
            self.mask.shape[-d:], () if self.coil_maps is None else self.coil_maps.shape[-d:]
        )
        given = tuple(tensor.shape[-d:])
        if (
            len(given) < d
            or any(own not in (1, length) for own, length in zip(size, given))
            or size[-1] != given[-1]
        ):
            raise InputError(
                f"the operator's mask and coil maps are for {self._size_words} = {tuple(size)}, the"
                f" tensor has {given}"
            )

    @property
    def _size_words(self) -> str:
        return "(y, x)" if self.dimensions == 2 else "(z, y, x)"

    def _forward(self, image: Tensor) -> Tensor:
        maps, _, transform = self._factors(image)
        return transform.forward(image, maps)

    def _adjoint(self, kspace: Tensor) -> Tensor:
        _, conjugate_maps, transform = self._factors(kspace)
        return transform.adjoint(kspace, conjugate_maps)

    def _normal(self, image: Tensor) -> Tensor:
        maps, conjugate_maps, _ = self._factors(image)
        return normal(image, maps, conjugate_maps, self.mask.to(image.real.dtype))

    def _squared_norm(self, like: Tensor) -> Tensor:
        # The largest sum over coils of |c|^2, which mask and Fourier transform can only lessen; 1
        # for normalised maps.
        if self.coil_maps is None:
            return like.real.new_ones(len(like))
        maps = self.coil_maps.detach()
        squares = maps.real.square() + maps.imag.square()
        largest = squares.sum(1).amax(tuple(range(-self.dimensions, 0)))
        return largest.to(like.real.dtype).expand(len(like))

    def with_maps(self, coil_maps: Tensor | None) -> "CartesianOperator":
        """The operator with other maps and the same mask."""
        return CartesianOperator(self.mask, coil_maps, self.dimensions)

    @property
    def members(self) -> int:
        """The batch that the operator is for; 1 where it serves any."""
        return max(len(self.mask), 1 if self.coil_maps is None else len(self.coil_maps))

    def select(self, index: Tensor) -> "CartesianOperator":
        """The operator of the batch members in `index` (long, (n,)); parts shared by the whole
        batch stay shared.
        """
        mask, maps = selected(self.mask, index), selected(self.coil_maps, index)
        return CartesianOperator(mask, maps, self.dimensions)

    def _shared(self) -> dict[str, object]:
        maps = self.coil_maps
        return {
            "dimensions": self.dimensions,
            "sizes of mask": tuple(self.mask.shape),
            "sizes of coil_maps": None if maps is None else tuple(maps.shape),
        }

    def _stacked(self, operators: "Sequence[CartesianOperator]") -> "CartesianOperator":
        maps = [A.coil_maps for A in operators if A.coil_maps is not None]
        masks = torch.cat([A.mask for A in operators])
        return CartesianOperator(masks, torch.cat(maps) if maps else None, self.dimensions)


def _with_axes(tensor: Tensor, axes: int, name: str) -> Tensor:
    if not 1 <= tensor.ndim <= axes:
        raise InputError(f"{name}: {tensor.ndim} axes given, 1 to {axes} needed")
    return tensor.reshape((1,) * (axes - tensor.ndim) + tensor.shape)


def _outer(factors: tuple[Tensor, ...]) -> Tensor:
    """The product of a factor along each axis, (..., y, x)."""
    product = factors[0]
    for factor in factors[1:]:
        product = product[..., None] * factor
    return product
