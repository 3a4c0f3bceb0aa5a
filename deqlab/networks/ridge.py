"""A learned ridge regulariser of complex images, and the denoiser that is one step along its
gradient.

E(x) = sum of psi_k(|W_k x|) over filters k and places; A. Goujon, S. Neumayer, P. Bohra, S.
Ducotterd and M. Unser, A neural-network-based convex regularizer for inverse problems, IEEE TCI 9
(2023), arXiv 2211.12461, and, weakly convex, arXiv 2308.10542 (see
`deqlab.networks.modulus_splines`). Departures: the filters are real and act alike on real and
imaginary part, and the profiles see moduli, so that a global phase of the image turns the gradient
and changes nothing else; filters of several scales stand on a pyramid of low-pass images, since a
ghost is wider than any one kernel; the denoiser is one step of descent, R(x) = x - grad E(x), whose
error is cheap to train on (a gradient-step denoiser: S. Hurault, A. Leclaire and N. Papadakis,
Gradient step denoiser for convergent plug-and-play, ICLR 2022).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, Share, option, options
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.folded_filters import FOLD, WIDEST, folded, folded_back, polyphase
from deqlab.networks.modulus_splines import FLOOR, ModulusSplines, Pieces
from deqlab.networks.told_network import ToldNetwork

# Frequencies along an axis on which the norm of the filters is bounded.
GRID = 96


@options
class RidgeOptions(Options):
    """The architecture of a `Ridge`."""

    filters: tuple[Count, ...] = option((24, 32, 32, 32), "filters at each scale, finest first")
    kernel: Annotated[int, Ge(3), Le(WIDEST)] = option(
        9, "pixels along a side of each filter, an odd number"
    )
    pieces: Count = option(16, "lines that each profile consists of")
    top: Positive = option(
        12.0, "response beyond which a profile is constant, in standard deviations of its noise"
    )
    weak_convexity: Share = option(
        0.5, "rho: E + rho / 2 ||x||^2 is convex; 0 for a regulariser that is convex itself"
    )
    floor: Share = option(
        0.0,
        "share of the gradient that is x itself: with it, and without weak convexity, an"
        " equilibrium is unique whatever was measured",
    )
    level: Positive = option(
        0.02, "noise that the network removes unless it is told, relative to the image's peak"
    )

    def __post_init__(self) -> None:
        if not self.filters:
            raise InputError("filters: () given, one whole number >= 1 a scale needed")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel: {self.kernel} given, an odd number needed")


class Ridge(ToldNetwork):
    """R(x, level) = x - grad E(x) on complex images (batch, y, x) of any size, E(x) = (1 - floor)
    sum_k (level / a_k)^2 psi_k(a_k |W_k x| / level) + floor / 2 ||x||^2. Its arguments are
    `RidgeOptions`.

    W, all filters together, has ||W|| <= 1 and answers a constant with 0; psi_k' = phi_k has slopes
    in [-rho, 1] and is not negative. Both are brought about by `after_step`, so that

    - grad E is the gradient of E, which is the same for e^(i phase) x, and never negative;
    - its Jacobian is symmetric with eigenvalues in `curvature`: E is rho-weakly convex and Lip(R -
      I) = Lip(grad E) <= 1 (`lipschitz`). For rho = 0 it is convex, and R firmly nonexpansive;
    - R(c x, |c| level) = c R(x, level) for every complex number c.

    level: the standard deviation of the noise (of real and of imaginary part). Untold, it is a
    share of the image's peak; R is then no gradient, as E depends on the image in two ways.
    """

    Options = RidgeOptions
    lipschitz: float | None = 1.0
    residual = True

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = chosen = self.Options.of(*values, **named)
        self.kernels = nn.ParameterList(
            torch.randn(count, chosen.kernel, chosen.kernel) for count in chosen.filters
        )
        self.splines = nn.ModuleList(
            ModulusSplines(count, chosen.pieces, chosen.top, chosen.weak_convexity)
            for count in chosen.filters
        )
        self.project_()
        self.log_scales = nn.ParameterList(
            -torch.linalg.vector_norm(kernel.detach(), dim=(1, 2)).log() for kernel in self.filters
        )

    @property
    def curvature(self) -> tuple[float, float]:
        """Bounds of the Hessian's eigenvalues."""
        floor = self.options.floor
        return floor - (1 - floor) * self.options.weak_convexity, 1.0

    @property
    def filters(self) -> list[Tensor]:
        """The filters of each scale, real (filter, kernel, kernel)."""
        # Parameters whose size is about that of the others, so that one learning rate fits all.
        return [kernel / self.options.kernel for kernel in self.kernels]

    @property
    def profiles(self) -> list[ModulusSplines]:
        """The profiles of each scale."""
        return [spline for spline in self.splines if isinstance(spline, ModulusSplines)]

    @torch.no_grad()
    def project_(self) -> None:
        """Filters of mean 0 and together of a norm of at most 1; slopes in their interval."""
        for kernel in self.kernels:
            kernel.sub_(kernel.mean((1, 2), keepdim=True))
        norm = pyramid_norm(self.filters)
        for kernel in self.kernels:
            kernel.div_(max(norm, 1.0))
        for profile in self.profiles:
            profile.project_()

    def after_step(self) -> None:
        """`project_`."""
        self.project_()

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x). level: real (batch, 1, 1), in the units of the image; None
        for that of the options.
        """
        if level is None:
            level = self.options.level * image.abs().amax((-2, -1), keepdim=True)
        return image - self.gradient(image, level)

    def gradient(self, image: Tensor, level: Tensor) -> Tensor:
        """grad E(x), complex (batch, y, x); for the inner product Re <a, b>."""
        return self.gradient_by(self.shrunk, image, level)

    def energy(self, image: Tensor, level: Tensor) -> Tensor:
        """E(x), real (batch,)."""
        return self.energy_by(self.cost, image, level)

    def shrunk(self, at: "Responses") -> Tensor:
        """phi(a |W x|) / (a |W x|) W x on one scale, as the responses."""
        return at.responses * at.pieces.ratio(at.arguments, at.filters).unsqueeze(1)

    def cost(self, at: "Responses") -> Tensor:
        """Sum of psi(a |W x|) / a^2 on one scale, real (batch,)."""
        return at.costs.sum((1, 2, 3))

    def gradient_by(
        self, shrunk: Callable[["Responses"], Tensor], image: Tensor, level: Tensor
    ) -> Tensor:
        """grad E(x) where `shrunk` says what becomes of the responses."""
        floor, unit = self.options.floor, _unit(level)
        found = together(self._gradient(shrunk, apart(image / unit), 0))
        return (1 - floor) * unit * found + floor * image

    def energy_by(
        self, cost: Callable[["Responses"], Tensor], image: Tensor, level: Tensor
    ) -> Tensor:
        """E(x) where `cost` says what the responses cost."""
        floor, unit = self.options.floor, _unit(level)
        total = torch.stack([cost(at) for at in self.responses(image, level)]).sum(0)
        found = unit.flatten().square() * total
        return (1 - floor) * found + floor / 2 * image.abs().square().sum((-2, -1))

    def responses(self, image: Tensor, level: Tensor) -> Iterator["Responses"]:
        """Those of each scale, finest first, in units of the level."""
        channels = apart(image / _unit(level))
        yield self._at(channels, 0)
        scale = 0
        while self._goes_on(channels, scale):
            channels, scale = halved(channels), scale + 1
            yield self._at(channels, scale)

    def _gradient(
        self, shrunk: Callable[["Responses"], Tensor], channels: Tensor, scale: int
    ) -> Tensor:
        """That of scales from this one on, of images in units of the level."""
        at = self._at(channels, scale)
        squares = conv_transpose2d(shrunk(at).flatten(0, 1), at.weight, padding=1)
        found = folded_back(squares, channels)
        if self._goes_on(channels, scale):
            found = found + doubled(self._gradient(shrunk, halved(channels), scale + 1), channels)
        return found

    def _goes_on(self, channels: Tensor, scale: int) -> bool:
        """Whether there is a coarser scale; of one pixel along a side there is no half."""
        return scale + 1 < len(self.kernels) and min(channels.shape[-2:]) > 1

    def _at(self, channels: Tensor, scale: int) -> "Responses":
        weight = polyphase(self.filters[scale]).to(memory_format=torch.channels_last)
        responses = conv2d(folded(channels), weight, padding=1).unflatten(0, (-1, 2))
        filters = torch.arange(responses.shape[2], device=channels.device) // FOLD**2
        size = self.log_scales[scale].exp()[filters][:, None, None]
        real, imaginary = responses.unbind(1)
        squared = (real.square() + imaginary.square()) * size.square()
        arguments = (squared + FLOOR).sqrt()
        profiles = self.profiles[scale].pieces_of()
        return Responses(scale, weight, responses, filters, size, arguments, profiles)


@dataclass(frozen=True)
class Responses:
    """Of the filters of one scale. weight: their folded kernels. responses: W x, real (batch, 2,
    channel, y, x). filters: the one of each channel; size: its a. arguments: a |W x|, real (batch,
    channel, y, x). pieces: the profiles.
    """

    scale: int
    weight: Tensor
    responses: Tensor
    filters: Tensor
    size: Tensor
    arguments: Tensor
    pieces: Pieces

    @property
    def costs(self) -> Tensor:
        """psi(a |W x|) / a^2, real (batch, channel, y, x)."""
        return self.pieces.potential(self.arguments, self.filters) / self.size**2


def _unit(level: Tensor) -> Tensor:
    """The level; 1 where there is none, as for an image of nothing."""
    return torch.where(level > 0, level, torch.ones_like(level))


def apart(image: Tensor) -> Tensor:
    """Real and imaginary parts as images of their own, real (2 batch, 1, y, x)."""
    return to_channels(image).flatten(0, 1).unsqueeze(1)


def together(channels: Tensor) -> Tensor:
    """Complex (batch, y, x); the inverse of `apart`."""
    return to_complex(channels.squeeze(1).unflatten(0, (-1, 2)))


def halved(channels: Tensor) -> Tensor:
    """The low-pass image of half the size; white noise keeps its standard deviation, nearly."""
    return conv2d(channels, _low_pass(channels), stride=2, padding=1)


def doubled(low: Tensor, like: Tensor) -> Tensor:
    """The adjoint of `halved`, of the size of `like`."""
    odd = (like.shape[-2] % 2, like.shape[-1] % 2)
    return conv_transpose2d(low, _low_pass(low), stride=2, padding=1, output_padding=odd)


def _low_pass(like: Tensor) -> Tensor:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=like.dtype, device=like.device)
    return (row[:, None] * row)[None, None] / 32


@torch.no_grad()
def pyramid_norm(filters: list[Tensor]) -> float:
    """Upper bound on ||W||, where W x are the responses of the filters at all scales, over images
    of all sizes.

    On one scale W^H W is the convolution with sum |K_k|^2 (kernels' Fourier transforms K_k). With
    D, blur by the low-pass b and drop of every other sample, D^H D couples four frequencies: D^H D
    = v v^H with v = b / 2 there, and v v^H is at most the diagonal of |v| sum |v|. With c = cos(w /
    2) and s = sin(w / 2) that is c^3 (c^3 + s^3) <= c^2 (c^4 + s^2 / 2) an axis, by c s <= (c^2 +
    s^2) / 2. So ||W||^2 <= B_0 for B_j = max (sum |K_k|^2 + B_(j+1) low(w)), and the polynomial's
    maximum on a grid bounds its maximum, as in `deqlab.networks.convolution_norm`.
    """
    frequency = (
        torch.arange(GRID, device=filters[0].device, dtype=filters[0].dtype) * math.pi / GRID
    )
    c, s = frequency.cos().square(), frequency.sin().square()
    axis = c * (c.square() + s / 2)
    low = axis[:, None] * axis[: GRID // 2 + 1]
    bound = filters[0].new_zeros(())
    for kernels in reversed(filters):
        squared = torch.fft.rfft2(kernels, s=(GRID, GRID)).abs().square().sum(0)
        degree = max(kernels.shape[-1] - 1, 3) / 2
        excess = math.cos(math.pi * degree / GRID) ** -4
        bound = excess * (squared + bound * low).max()
    return math.sqrt(float(bound))
