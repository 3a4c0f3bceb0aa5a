"""The non-uniform fast Fourier transform as a measurement operator: A = W^(1/2) F C, for radial, spiral and any other trajectory."""

import torch
from torch import Tensor

from deqlab.errors import InputError
from deqlab.operators.noncartesian import NonCartesianOperator, of_member
from deqlab.operators.plans import Plans

# The smallest error that a transform in single precision reaches, per pixel along the longest axis: positions there are rounded to 2^-24
# of a turn. Measured against the exact sum: 2e-5 at 320 pixels.
SINGLE_PRECISION_PER_PIXEL = 7e-8


class NUFFTOperator(NonCartesianOperator):
    """A = W^(1/2) F C with F to a relative error of `tolerance`; signature and conventions of `NonCartesianOperator`.

    A and A.H are adjoint to rounding whatever the tolerance. Where single precision cannot reach the tolerance (it has a floor of 2e-5 at 320
    pixels), complex64 tensors are transformed in double precision coil by coil.
    """

    def __init__(
        self,
        trajectory: Tensor,
        shape: tuple[int, ...],
        coil_maps: Tensor | None = None,
        tolerance: float = 1e-6,
        weights: Tensor | None = None,
    ):
        if not 1e-14 <= tolerance <= 0.1:
            raise InputError(f"tolerance: {tolerance} given, a relative error from 1e-14 to 0.1 needed")
        super().__init__(trajectory, shape, coil_maps, weights)
        self.tolerance = tolerance
        self._plans = self._new_plans()

    def _new_plans(self) -> list[Plans]:
        return [Plans(points, self.shape, self.tolerance) for points in self.trajectory]

    def _apply(self, fn, *args, **kwargs):
        super()._apply(fn, *args, **kwargs)
        self._plans = self._new_plans()
        return self

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_plans": self._new_plans()}

    def _options(self) -> dict:
        return {"shape": self.shape, "tolerance": self.tolerance}

    def _working_dtype(self, dtype: torch.dtype) -> torch.dtype:
        reached = self.tolerance >= SINGLE_PRECISION_PER_PIXEL * max(self.shape)
        return dtype if reached else torch.complex128

    def _transform(self, member: int, coil_images: Tensor) -> Tensor:
        return of_member(self._plans, member).forward(coil_images)

    def _transform_adjoint(self, member: int, samples: Tensor) -> Tensor:
        return of_member(self._plans, member).adjoint(samples)
