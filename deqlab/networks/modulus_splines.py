"""Learned profiles of a modulus: what a ridge regulariser does with the responses of its filters.

A profile phi is piecewise linear with phi(0) = 0, and its integral psi is a potential. On complex
responses z the gradient of psi(|z|) is phi(|z|) z / |z|, and the Hessian has the eigenvalues
phi'(|z|) along z and phi(|z|) / |z| across: where every slope lies in [-rho, 1], so does the mean
slope phi(|z|) / |z|, and so do both. Learned linear splines with bounded slopes as profiles: A.
Goujon, S. Neumayer and M. Unser, Learning weakly convex regularizers for convergent
image-reconstruction algorithms, SIAM J. Imaging Sci. 17 (2024), arXiv 2308.10542. Departures: here
the argument is a modulus, so that a phase of the image is none of the profile's business; phi is
nowhere negative; knots are dense where most responses are.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

# What is added to the squared argument before a root is taken, so that its slope is finite at 0. It
# is far inside the first piece, where phi(u) / u is one number.
FLOOR = 1e-10


class ModulusSplines(nn.Module):
    """phi_k(u) for `count` filters, with slopes in [-weak_convexity, 1] between the knots top (j /
    pieces)^2 and 0 beyond the last one, and never negative.

    A profile that would fall below 0 stays there until it rises again. They start as soft
    thresholds' complements, u up to a threshold and nearly constant beyond.
    """

    knots: Tensor

    def __init__(self, count: int, pieces: int, top: float, weak_convexity: float):
        super().__init__()
        self.pieces, self.top, self.weak_convexity = pieces, top, weak_convexity
        self.register_buffer("knots", top * torch.linspace(0, 1, pieces + 1) ** 2, False)
        start = (self.knots[:-1] < THRESHOLD).float()
        self.slopes = nn.Parameter(start.repeat(count, 1))

    @torch.no_grad()
    def project_(self) -> None:
        """Bring the slopes back to what they may be."""
        self.slopes.clamp_(-self.weak_convexity, 1.0)

    def pieces_of(self) -> "Pieces":
        """The lines that phi consists of."""
        total = (self.slopes * self.knots.diff()).cumsum(1)
        # The running sum, kept from falling below 0 as a queue is: its increments stay between its
        # own and 0.
        value = total - total.cummin(1).values.clamp_max(0)
        value = nn.functional.pad(value, (1, 0))
        slope = nn.functional.pad(value.diff(dim=1) / self.knots.diff(), (0, 1))
        return Pieces(self.knots, value, slope, self.pieces, self.top)


# Where profiles start to be constant.
THRESHOLD = 1.5


@dataclass(frozen=True)
class Pieces:
    """phi_k(u) = value + slope (u - knot) right of each knot: real (filter, pieces + 1)."""

    knots: Tensor
    value: Tensor
    slope: Tensor
    pieces: int
    top: float

    def ratio(self, u: Tensor, filters: Tensor) -> Tensor:
        """phi_k(u) / u. u: real, positive, (..., channel, y, x); filters: k of each channel."""
        at = self._at(u, filters)
        crossing = self.value - self.slope * self.knots
        return self._picked(self.slope, at) + self._picked(crossing, at) / u

    def potential(self, u: Tensor, filters: Tensor) -> Tensor:
        """psi_k(u), the integral of phi_k from 0 to u."""
        at = self._at(u, filters)
        width = self.knots.diff()
        area = (self.value[:, :-1] + self.slope[:, :-1] * width / 2) * width
        before = nn.functional.pad(area.cumsum(1), (1, 0))
        beyond = u - self.knots[at % (self.pieces + 1)]
        line = self._picked(self.value, at) + self._picked(self.slope, at) * beyond / 2
        return self._picked(before, at) + line * beyond

    @torch.no_grad()
    def _at(self, u: Tensor, filters: Tensor) -> Tensor:
        """The place of each u's piece in a flattened table."""
        piece = ((u / self.top).sqrt() * self.pieces).clamp_max(self.pieces).int()
        return piece + (self.pieces + 1) * filters[:, None, None].int()

    def _picked(self, table: Tensor, at: Tensor) -> Tensor:
        return table.flatten().index_select(0, at.flatten()).view(at.shape)
