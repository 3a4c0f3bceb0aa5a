"""Our own problem: how much to smooth an MRI reconstruction, learned from a slice that was also
measured in full.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.dataset import SliceDataset
from deqlab.data.sample import Batch, Sample, collate
from deqlab.data.simulated import SimulationConfig, builtin
from deqlab.operators import LinearOperator
from deqlab.signal.sampling.masks import RandomMask, default_center_fraction
from deqlab.theory.bilevel.problem import DescentMap, Problem

# 64 x 64 pixels, one coil, noiseless: noise is added when a slice is read. Four contrasts, two
# heads of each.
HEADS = SimulationConfig(matrix=64, coils=1, slices=4, volumes=(0, 8, 0), noise=0.0, oversampling=1)


def differences(x: Tensor) -> Tensor:
    """D x: the differences to the next pixel below and to the right, periodic, (..., 2, y, x)."""
    return torch.stack([x.roll(-1, dims=-2) - x, x.roll(-1, dims=-1) - x], dim=-3)


def adjoint_differences(p: Tensor) -> Tensor:
    """D^H p, (..., y, x)."""
    down, right = p.unbind(dim=-3)
    return down.roll(1, dims=-2) - down + right.roll(1, dims=-1) - right


class Smoothing(Problem):
    """energy = 1/2 ||A x - y||^2 + exp(theta) sum over pixels of sqrt(|D x|^2 + rounding^2); outer
    loss = ||x - reference||^2 / ||reference||^2.

    The penalty is total variation with its kink rounded off below differences of size `rounding`,
    so that the inner problem is smooth but not quadratic. theta: real (1,). x: complex (1, y, x),
    in the units of the sample, whose zero-filled image has the maximum 1.

    learn: a sample with a reference, on which the weight is learned; its k-space is undersampled,
        its reference is not.
    held_out: one whose error `test` reports at the same weight. Both single, or batches of one.
    The implicit gradient of such a weight: K. Kunisch and T. Pock, A bilevel optimization approach
    for parameter learning in variational models, SIAM J. Imaging Sci. 6 (2013).
    """

    def __init__(
        self,
        learn: Sample,
        held_out: Sample | None,
        rounding: float = 0.03,
        theta0: float = -2.0,
        low: float = -7.0,
        high: float = 0.0,
    ):
        if not rounding > 0:
            raise InputError(f"rounding: {rounding} given, a number > 0 needed")
        self.name, self.low, self.high, self.rounding = "MRI smoothing", low, high, rounding
        self.theta0 = torch.tensor([theta0], dtype=torch.float64)
        self.A, self.projection, self.reference = _unpack(learn, "learn")
        self.held_out = None if held_out is None else Smoothing(held_out, None, rounding)
        self.errors: dict[float, float] = {}
        self.norm = float(self.A.norm(self.projection).max())

    def start(self) -> Tensor:
        """The zero-filled image A^H y."""
        return self.projection.clone()

    def lengths(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """D x, and sqrt(|D x|^2 + rounding^2) as (..., 1, y, x)."""
        slopes = differences(x)
        squares = (slopes.real.square() + slopes.imag.square()).sum(-3, keepdim=True)
        return slopes, (squares + self.rounding**2).sqrt()

    def energy(self, theta: Tensor, x: Tensor) -> Tensor:
        """The inner objective without its constant 1/2 ||y||^2, a scalar tensor."""
        data = (x.conj() * (self.A.normal(x) / 2 - self.projection)).real.sum()
        return data + theta.exp()[0] * self.lengths(x)[1].sum()

    def gradient(self, theta: Tensor, x: Tensor) -> Tensor:
        """A^H (A x - y) + exp(theta) D^H (D x / length)."""
        slopes, length = self.lengths(x)
        return (
            self.A.normal(x)
            - self.projection
            + math.exp(theta[0]) * adjoint_differences(slopes / length)
        )

    def hessian(self, theta: Tensor, x: Tensor) -> Callable[[Tensor], Tensor]:
        """v -> A^H A v + exp(theta) D^H (D v - u Re<u, D v>) / length with u = D x / length, per
        pixel.
        """
        slopes, length = self.lengths(x)
        weight, u = math.exp(theta[0]) / length, slopes / length

        def product(v: Tensor) -> Tensor:
            slope = differences(v)
            along = (u.real * slope.real + u.imag * slope.imag).sum(-3, keepdim=True)
            return self.A.normal(v) + adjoint_differences(weight * (slope - u * along))

        return product

    def cross(self, theta: Tensor, x: Tensor, q: Tensor) -> Tensor:
        """exp(theta) Re<D^H (D x / length), q>, (1,)."""
        slopes, length = self.lengths(x)
        return theta.exp() * (adjoint_differences(slopes / length).conj() * q).real.sum()

    def bound(self, theta: Tensor) -> float:
        """||A||^2 + exp(theta) ||D||^2 / rounding, with ||D||^2 <= 8 and 2 % for what the power
        method leaves of ||A||.
        """
        return 1.02 * self.norm**2 + math.exp(theta[0]) * 8 / self.rounding

    def validation(self, x: Tensor) -> tuple[float, Tensor]:
        """The relative squared error to the reference, and its gradient."""
        error, size = x - self.reference, self.reference.abs().square().sum()
        return float(error.abs().square().sum() / size), 2 * error / size

    def test(self, theta: Tensor, x: Tensor) -> float:
        """The relative squared error of the held-out slice, reconstructed from scratch with the
        same weight; NaN without such a slice.
        """
        if self.held_out is None:
            return math.nan
        key = float(theta[0])
        if key not in self.errors:
            solution = DescentMap(self.held_out, theta).solve(self.held_out.start(), tolerance=1e-3)
            self.errors[key] = self.held_out.validation(solution.value)[0]
        return self.errors[key]


def reconstruction(seed: int, acceleration: float = 3.0, noise: float = 0.05) -> Smoothing:
    """A simulated head under a random mask of that acceleration, and another head of the same
    contrast held out.

    noise: standard deviation of the complex noise of k-space, as a share of the image's maximum.
        The seed chooses contrast, slice, mask and noise.
    """
    mask = RandomMask(acceleration, default_center_fraction(acceleration))
    data = SliceDataset(
        builtin("val", HEADS, progress=False), mask, slices="all", seed=seed, noise=noise
    )
    volume, contrasts, slices = seed % 4, 4, HEADS.slices
    position = volume * slices + seed // 4 % slices
    return Smoothing(data[position], data[position + contrasts * slices])


def _unpack(sample: Sample | Batch, name: str) -> tuple[LinearOperator, Tensor, Tensor]:
    """A, A^H y and the reference (1, y, x), in double precision."""
    if sample.reference is None:
        raise InputError(
            f"{name}: a sample without reference given; the weight is learned from a fully sampled"
            " slice"
        )
    batch = sample if isinstance(sample, Batch) else collate([sample])
    return (
        batch.operator,
        batch.operator.H(batch.kspace.to(torch.complex128)),
        batch.known("reference").to(torch.complex128),
    )
