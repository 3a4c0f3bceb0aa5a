"""The maps that all methods are asked to solve: seeded, offered with `select`, and the same for
everyone.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deqlab.equilibrium.measure import spectral_norm
from deqlab.networks import DnCNN
from deqlab.operators import CartesianOperator
from deqlab.recon import load
from deqlab.recon.deq.de_prox import ProximalMap
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.signal.sampling.masks import EquispacedMask, default_center_fraction

ACCELERATION = 4
# Of a seeded denoiser: the Lipschitz constant of N, and how much its middle layers add to the
# variance of the features.
LIPSCHITZ, NOISE = 0.9, 0.35


@dataclass(frozen=True)
class Size:
    """How large the benchmark is. depths: (depth, width) of the seeded denoisers. more: whether
    trained ones are asked too.
    """

    pixels: int
    depths: tuple[tuple[int, int], ...]
    unknowns: int
    repeats: int
    more: bool


FULL = Size(pixels=128, depths=((5, 32), (17, 64)), unknowns=512, repeats=7, more=True)
QUICK = Size(pixels=32, depths=((5, 16),), unknowns=64, repeats=1, more=False)


@dataclass
class Problem:
    """x = f(x) from `x0`; `parameters` are what gradients are taken of; `double()` is the same
    problem in double precision.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    x0: Tensor
    parameters: list[Tensor]
    double: Callable[[], "Problem"]
    symmetric: bool = False


@dataclass
class LinearMap:
    """f(x) = J x + b per sample; J: real (batch, n, n), b: (batch, n)."""

    J: Tensor
    b: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return torch.bmm(x.unsqueeze(1), self.J.mT).squeeze(1) + self.b

    def select(self, index: Tensor) -> "LinearMap":
        """The map of the batch members in `index`."""
        return LinearMap(self.J[index], self.b[index])


def symmetric_contraction(rates: list[float], unknowns: int) -> LinearMap:
    """One sample a rate; its J is symmetric with eigenvalues spread evenly over [0, rate], in
    double precision.
    """
    generator = torch.Generator().manual_seed(0)
    Js, bs = [], []
    for rate in rates:
        Q = torch.linalg.qr(
            torch.randn(unknowns, unknowns, generator=generator, dtype=torch.float64)
        )[0]
        Js.append(Q @ torch.diag(torch.linspace(0, rate, unknowns, dtype=torch.float64)) @ Q.mT)
        bs.append(torch.randn(unknowns, generator=generator, dtype=torch.float64))
    return LinearMap(torch.stack(Js), torch.stack(bs))


def linear(rate: float, unknowns: int) -> Problem:
    """The linear contraction at `rate`, from x = 0."""
    f = symmetric_contraction([rate], unknowns)
    problem = Problem(
        f"linear, rho = {rate}", f, torch.zeros_like(f.b), [], lambda: problem, symmetric=True
    )
    return problem


def seeded(depth: int, width: int, pixels: int) -> Problem:
    """DE-Prox with a DnCNN R = I + N that contracts: Lip(N) = LIPSCHITZ as measured at the
    zero-filled image.

    Random features, passed on through the middle layers with some noise, and an output that is
    minus the transpose of the input: but for the noise, N is a step down the gradient of a convex
    function, as a denoiser's residual is. A network that is random throughout would not do: as I +
    N it does not contract, and held to a bound by `DnCNN.project_` at 17 layers it passes 1e-7 of
    an image, which every solver finds easy.
    """
    torch.manual_seed(0)
    denoiser = DnCNN(depth, width)
    first, *middle, last = denoiser.convolutions()
    A, kspace = measurements(pixels)
    f = ProximalMap(A.H(kspace), A, denoiser, torch.tensor(1.0))
    with torch.no_grad():
        for convolution in middle:
            spread = math.sqrt(NOISE / (convolution.weight[0].numel() * len(middle)))
            nn.init.dirac_(convolution.weight)
            convolution.weight.add_(spread * torch.randn_like(convolution.weight))
        last.weight.copy_(-first.weight.transpose(0, 1).flip(-1, -2))
    measured = spectral_norm(denoiser.residual_part, f.projection, iterations=20).max()
    with torch.no_grad():
        last.weight.mul_(LIPSCHITZ / measured)
    return of_map(f"DE-Prox {depth}x{width}", f)


def trained(name: str, pixels: int) -> Problem:
    """The map that the shipped weights `name` are solved with."""
    model = load(name)
    A, kspace = measurements(pixels)
    f = model.iterated_map(kspace, A)
    return of_map(f"{name} trained", replace(f, step=f.step.detach()))


def measurements(pixels: int) -> tuple[CartesianOperator, Tensor]:
    """A and the noisy k-space of two smooth images with edges, single-coil, a quarter of the lines
    sampled.
    """
    generator = torch.Generator().manual_seed(1)
    axis = torch.linspace(-1, 1, pixels)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    images = torch.zeros(2, pixels, pixels)
    for image in images:
        for size, (cy, cx) in zip(
            (0.85, 0.4, 0.3, 0.2, 0.15, 0.1), torch.rand(6, 2, generator=generator) - 0.5
        ):
            inside = ((y - cy * (1 - size)) / size) ** 2 + (
                (x - cx * (1 - size)) / (0.8 * size)
            ) ** 2 < 1
            image += inside * float(torch.rand((), generator=generator) - 0.3)
    images = images / images.abs().amax((-2, -1), keepdim=True)
    complex_images = torch.polar(images, 0.5 * x + 0.3 * y)
    A = CartesianOperator(
        EquispacedMask(ACCELERATION, default_center_fraction(ACCELERATION)).sample(pixels, seed=0)
    )
    kspace = A(complex_images)
    noise = 0.01 * torch.randn(kspace.shape, generator=generator, dtype=kspace.dtype)
    return A, (kspace + noise) * A.mask


def of_map(name: str, f: FixedPointMap) -> Problem:
    """The problem of a reconstruction map, from its zero-filled image."""

    def double() -> Problem:
        denoiser = copy.deepcopy(f.denoiser).double()
        A = copy.deepcopy(f.A)
        finer = replace(
            f,
            projection=f.projection.to(torch.complex128),
            A=A,
            denoiser=denoiser,
            step=f.step.double(),
        )
        return of_map(name, finer)

    f.denoiser.requires_grad_(True)
    return Problem(name, f, f.projection, list(f.denoiser.parameters()), double)
