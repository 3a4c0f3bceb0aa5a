"""The non-uniform fast Fourier transform as a measurement operator: A = W^(1/2) F C, for radial,
spiral and any other trajectory.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.members import of_member
from deqlab.operators.noncartesian import NonCartesianOperator, add_products
from deqlab.operators.plans import Plans
from deqlab.operators.toeplitz import convolve, toeplitz_spectrum

# The smallest relative error of a transform in single precision, per pixel along the longest axis:
# positions there are rounded to some 2^-24 of a turn. Measured against the exact sum: 2e-5 at 320
# pixels.
SINGLE_PRECISION_PER_PIXEL = 7e-8

# A convolution's spectrum in each precision and on each device that has asked for one.
Spectra = dict[tuple[torch.dtype, torch.device], Tensor]


class NUFFTOperator(NonCartesianOperator):
    """A = W^(1/2) F C with F to a relative error of `tolerance`; signature and conventions of
    `NonCartesianOperator`.

    A and A.H are adjoint to rounding whatever the tolerance; `normal` is a convolution (see
    toeplitz.py) and agrees with A.H(A(x)) to the tolerance. Where single precision cannot reach the
    tolerance (its floor is 2e-5 at 320 pixels), complex64 tensors are transformed in double
    precision, coil by coil. Plans and the convolution's spectrum are made when first needed and
    kept.
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
            raise InputError(
                f"tolerance: {tolerance} given, a relative error from 1e-14 to 0.1 needed"
            )
        super().__init__(trajectory, shape, coil_maps, weights)
        self.tolerance = tolerance
        self._forget()

    def _forget(self) -> None:
        self._plans = [Plans(points, self.shape, self.tolerance) for points in self.trajectory]
        kernels = max(len(self.trajectory), 1 if self.weights is None else len(self.weights))
        self._spectra: list[Spectra] = [{} for _ in range(kernels)]

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        super()._apply(fn, *args, **kwargs)
        self._forget()
        return self

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_plans": None, "_spectra": None}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._forget()

    def _options(self) -> dict:
        return {"shape": self.shape, "tolerance": self.tolerance}

    def _working_dtype(self, dtype: torch.dtype) -> torch.dtype:
        reached = self.tolerance >= SINGLE_PRECISION_PER_PIXEL * max(self.shape)
        return dtype if reached else torch.complex128

    def _transform(self, member: int, coil_images: Tensor) -> Tensor:
        return of_member(self._plans, member).forward(coil_images)

    def _transform_adjoint(self, member: int, samples: Tensor) -> Tensor:
        return of_member(self._plans, member).adjoint(samples)

    def _normal(self, image: Tensor) -> Tensor:
        self._check_image(image)
        maps, conjugate, _ = self._factors(image.dtype, image.device)
        result = torch.zeros_like(image)
        for member, pixels in enumerate(image):
            spectrum = self._spectrum(member, image)
            own, back = of_member(maps, member), of_member(conjugate, member)
            for run in self._runs(image):
                add_products(result[member], convolve(pixels * own[run], spectrum), back[run])
        return result

    def _spectrum(self, member: int, like: Tensor) -> Tensor:
        kept = of_member(self._spectra, member)
        key = like.dtype, like.device
        if key not in kept:
            weights = None if self.weights is None else of_member(self.weights, member)
            spectrum = toeplitz_spectrum(
                of_member(self.trajectory, member), self.shape, self.tolerance, weights
            )
            kept[key] = spectrum.to(like.device, like.dtype.to_real())
        return kept[key]

    def with_maps(self, coil_maps: Tensor | None) -> Self:
        """The operator with other maps, and the same plans."""
        other = super().with_maps(coil_maps)
        other._plans, other._spectra = self._plans, self._spectra
        return other

    def weighted(self, weights: Tensor) -> Self:
        """As `NonCartesianOperator.weighted`, with the same plans."""
        other = super().weighted(weights)
        other._plans = self._plans
        return other

    def select(self, index: Tensor) -> Self:
        """The operator of the batch members in `index` (long, (n,)); parts shared by the whole
        batch stay shared, and so do the plans.
        """
        chosen = super().select(index)
        members = index.tolist()
        chosen._plans = (
            self._plans if len(self._plans) == 1 else [self._plans[member] for member in members]
        )
        chosen._spectra = (
            self._spectra
            if len(self._spectra) == 1
            else [self._spectra[member] for member in members]
        )
        return chosen

    def _stacked(self, operators: Sequence[Self]) -> Self:
        stacked = super()._stacked(operators)
        # Each is for one slice, so it has one plan and one spectrum.
        if len(stacked._plans) == 1:
            stacked._plans = self._plans
        else:
            stacked._plans = [A._plans[0] for A in operators]
        if len(stacked._spectra) == 1:
            stacked._spectra = self._spectra
        else:
            stacked._spectra = [A._spectra[0] for A in operators]
        return stacked
