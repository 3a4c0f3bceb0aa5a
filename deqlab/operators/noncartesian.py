"""What all operators off the grid share: A = W^(1/2) F C at arbitrary positions in k-space,
whatever computes F.

C multiplies by the coil maps, F is the Fourier transform from an image to samples, W are weights of
the samples, 1 unless given. A subclass says how the coil images of one batch member are
transformed; the base class sees to coils, batches, weights and checks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.checked_parts import (
    AXES,
    checked_maps,
    checked_shape,
    checked_trajectory,
    checked_weights,
)
from deqlab.operators.coil_operator import CoilOperator
from deqlab.operators.members import joined, of_member, selected


class NonCartesianOperator(CoilOperator):
    """A = W^(1/2) F C: image (batch, y, x) to k-space (batch, coil, samples); a volume (batch, z,
    y, x) likewise.

    F x = sum over pixels n of x[n] exp(-2 pi i k . (n - N // 2)) / sqrt(number of pixels): on the
    points of the grid it is `fft2c`.

    trajectory: real (samples, axes) or (batch, samples, axes), columns (ky, kx) or (kz, ky, kx) in
        cycles per pixel, within +-0.5. Its digits are kept whatever the precision of the images,
        because a position in float32 is wrong by a phase of 1e-5 at the edge of 320 pixels.
    shape: (y, x) or (z, y, x). coil_maps: complex (coil, *shape) or (batch, coil, *shape); None for
        a single coil, whose k-space keeps a coil axis of length 1. weights: real, >= 0, (samples,)
        or (batch, samples): see `weighted`.
    Buffers follow `.to(device)`; they are read, never changed, after construction. Maps that
    require a gradient get one (see `CoilOperator`). Raises InputError for parts that do not fit
    together.
    """

    trajectory: Tensor
    coil_maps: Tensor | None
    weights: Tensor | None
    _gain: Tensor | None

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, ...],
        coil_maps: Tensor | None = None,
        weights: Tensor | None = None,
    ):
        super().__init__()
        self.shape = checked_shape(shape)
        self.dimensions = len(self.shape)
        trajectory = checked_trajectory(trajectory, self.shape)
        self.register_buffer("trajectory", trajectory)
        self.register_buffer(
            "coil_maps", None if coil_maps is None else checked_maps(coil_maps, self.shape)
        )
        self.register_buffer(
            "weights", None if weights is None else checked_weights(weights, trajectory.shape[1])
        )
        # What `scaled` multiplied A^H A with, float64 (batch | 1,); None for 1.
        self.register_buffer("_gain", None)
        self._folded: dict = {}
        self._agree()

    def _parts(self) -> dict[str, Tensor | None]:
        """The arguments of the constructor that have a batch axis, by name."""
        return {"trajectory": self.trajectory, "coil_maps": self.coil_maps, "weights": self.weights}

    def _agree(self) -> None:
        batches = {
            name: len(part)
            for name, part in self._parts().items()
            if part is not None and len(part) > 1
        }
        if len(set(batches.values())) > 1:
            raise InputError(
                "parts of different batches: "
                + ", ".join(f"{name} for {count}" for name, count in batches.items())
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        # Positions and weights change their device but never their precision.
        apply_but_keep(
            ("trajectory", "weights", "_gain"),
            self,
            lambda: super(NonCartesianOperator, self)._apply(fn, *args, **kwargs),
        )
        self._folded = {}
        return self

    def __getstate__(self) -> dict:
        # What is kept between calls is made again: it may be large, and plans cannot be copied.
        return {**self.__dict__, "_folded": {}}

    @property
    def coils(self) -> int:
        """Number of receive coils."""
        return 1 if self.coil_maps is None else self.coil_maps.shape[1]

    @property
    def members(self) -> int:
        """The batch that the operator is for; 1 where it serves any."""
        return max(len(part) for part in self._parts().values() if part is not None)

    @property
    def samples(self) -> int:
        """Number of samples of one coil."""
        return self.trajectory.shape[1]

    def _transform(self, member: int, coil_images: Tensor) -> Tensor:
        """F without its scale, of one batch member: (coil, *shape) to (coil, samples)."""
        raise NotImplementedError

    def _transform_adjoint(self, member: int, samples: Tensor) -> Tensor:
        """Its adjoint: (coil, samples) to (coil, *shape)."""
        raise NotImplementedError

    def _options(self) -> dict:
        """The arguments of the constructor that have no batch axis."""
        return {"shape": self.shape}

    def _working_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """The precision in which tensors of `dtype` are transformed."""
        return dtype

    def _factors(
        self, work: torch.dtype, device: torch.device
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """C with the scale folded in, its conjugate, and W^(1/2), in the precision `work`."""
        key = work, device
        if key not in self._folded:
            maps = torch.ones((1, 1) + (1,) * len(self.shape), dtype=work, device=device)
            if self.coil_maps is not None:
                maps = self.coil_maps.to(device, work)
            maps = maps / math.sqrt(math.prod(self.shape))
            root = None if self.weights is None else self.weights.to(device, work.to_real()).sqrt()
            self._folded[key] = maps, maps.conj().resolve_conj(), root
        return self._folded[key]

    def _runs(self, like: Tensor) -> list[slice]:
        """The runs of coils that are transformed together: on the CPU one coil a thread, so that a
        coil stays in a core's cache.
        """
        step = torch.get_num_threads() if like.device.type == "cpu" else self.coils
        return [slice(first, min(first + step, self.coils)) for first in range(0, self.coils, step)]

    def _forward(self, image: Tensor) -> Tensor:
        self._check_image(image)
        work = self._working_dtype(image.dtype)
        maps, _, root = self._factors(work, image.device)
        kspace = image.new_empty(len(image), self.coils, self.samples)
        for member, pixels in enumerate(image.to(work)):
            own, target = of_member(maps, member), kspace[member]
            for run in self._runs(image):
                found = self._transform(member, pixels * own[run])
                target[run] = found if root is None else found.mul_(of_member(root, member))
        return kspace

    def _adjoint(self, kspace: Tensor) -> Tensor:
        self._check(kspace, (self.coils, self.samples), ("batch", "coil", "samples"))
        work = self._working_dtype(kspace.dtype)
        _, conjugate, root = self._factors(work, kspace.device)
        image = torch.zeros(len(kspace), *self.shape, dtype=work, device=kspace.device)
        for member, samples in enumerate(kspace):
            own = of_member(conjugate, member)
            for run in self._runs(kspace):
                given = samples[run].to(work)
                given = given if root is None else given * of_member(root, member)
                add_products(image[member], self._transform_adjoint(member, given), own[run])
        return image.to(kspace.dtype)

    def _check_image(self, image: Tensor) -> None:
        self._check(image, self.shape, ("batch", *AXES[-len(self.shape) :]))

    def _check(self, tensor: Tensor, size: tuple[int, ...], axes: tuple[str, ...]) -> None:
        if not tensor.is_complex():
            raise InputError(f"the operator takes complex tensors, {tensor.dtype} given")
        if tensor.ndim != len(axes) or tuple(tensor.shape[1:]) != size:
            raise InputError(
                f"a tensor of {tuple(tensor.shape)} given, ({', '.join(axes)}) = (batch,"
                f" {', '.join(map(str, size))}) needed"
            )
        if self.members not in (1, len(tensor)):
            raise InputError(
                f"a batch of {len(tensor)} given, the operator is for a batch of {self.members}"
            )

    def weighted(self, weights: Tensor) -> Self:
        """W^(1/2) A for weights W of the samples, real, >= 0, (samples,) or (batch, samples); A
        itself stays as it is.

        Its `normal` is A^H W A. With density weights that is close to a multiple of the identity,
        so least squares ||W^(1/2) (A x - y)||^2 takes few iterations; its data are `weigh(y)`.
        Weights of A itself are multiplied.
        """
        weights = checked_weights(weights, self.samples)
        if self.weights is not None:
            weights = self.weights * weights
        return self._rebuilt({**self._parts(), "weights": weights}, self._gain)

    def with_maps(self, coil_maps: Tensor | None) -> Self:
        """The operator with other maps; trajectory, weights and options are those of this one."""
        return self._rebuilt({**self._parts(), "coil_maps": coil_maps}, self._gain)

    @property
    def gain(self) -> Tensor | None:
        """As `LinearOperator.gain`."""
        return None if self._gain is None else self._gain.reshape(-1, *(1,) * len(self.shape))

    def scaled(self, factor: float) -> Self:
        """factor^(1/2) A, which remembers the factor as its `gain`; A itself stays as it is.

        The factor goes into the weights, so that `weigh` scales the measurements alike.
        """
        gain = torch.tensor([factor], dtype=torch.float64, device=self.trajectory.device)
        scaled = self.weighted(gain.expand(self.samples))
        scaled._gain = gain if self._gain is None else self._gain * gain
        return scaled

    def _rebuilt(self, parts: Mapping[str, Tensor | None], gain: Tensor | None) -> Self:
        """An operator of this kind, with these options, of other parts."""
        arguments: dict[str, Any] = {**parts, **self._options()}
        rebuilt = type(self)(**arguments)
        rebuilt._gain = gain
        return rebuilt

    def weigh(self, kspace: Tensor) -> Tensor:
        """W^(1/2) y for k-space y, (batch, coil, samples); y itself where no weights were given."""
        return (
            kspace
            if self.weights is None
            else kspace * self.weights.to(kspace.device, kspace.dtype.to_real()).sqrt().unsqueeze(1)
        )

    def select(self, index: Tensor) -> Self:
        """The operator of the batch members in `index` (long, (n,)); parts shared by the whole
        batch stay shared.
        """
        parts = {name: selected(part, index) for name, part in self._parts().items()}
        return self._rebuilt(parts, selected(self._gain, index))

    def _shared(self) -> dict[str, object]:
        sizes = {
            f"sizes of {name}": None if part is None else tuple(part.shape)
            for name, part in self._parts().items()
        }
        return {**self._options(), **sizes}

    def _stacked(self, operators: Sequence[Self]) -> Self:
        """A part that is the same in all of them, as the trajectory of a volume often is, stays one
        for the whole batch.
        """
        parts = {name: joined([A._parts()[name] for A in operators]) for name in self._parts()}
        gains = [A.trajectory.new_ones(1) if A._gain is None else A._gain for A in operators]
        gain = None if all(A._gain is None for A in operators) else torch.cat(gains)
        return self._rebuilt(parts, gain)


def apply_but_keep(
    names: tuple[str, ...], module: torch.nn.Module, apply: Callable[[], object]
) -> None:
    """Runs `apply`, which may move or cast the buffers of `module`; those in `names` change their
    device only.

    `.float()` would cut digits of positions and times that no image needs to have cut, and
    `.to(torch.complex64)` would make them complex.
    """
    kept = {name: getattr(module, name) for name in names}
    apply()
    for name, tensor in kept.items():
        if tensor is not None:
            setattr(module, name, tensor.to(getattr(module, name).device))


def add_products(total: Tensor, coil_images: Tensor, conjugate_maps: Tensor) -> None:
    """Adds the sum over coils of both factors' products, (coil, *shape), to `total` in place; no
    product is held in memory.
    """
    for coil_image, conjugate_map in zip(coil_images, conjugate_maps):
        total.addcmul_(coil_image, conjugate_map)
