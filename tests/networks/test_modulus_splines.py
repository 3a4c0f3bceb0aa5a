"""Profiles are what they promise: their slopes, their sign, and that potential and profile belong
together.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from deqlab.networks.modulus_splines import ModulusSplines

PIECES, TOP = 5, 3.0


def profiles(weak_convexity: float = 0.5, spread: float = 2.0) -> ModulusSplines:
    """Three profiles whose slopes were far out of their interval before they were projected."""
    splines = ModulusSplines(3, PIECES, TOP, weak_convexity).double()
    torch.nn.init.normal_(splines.slopes, std=spread)
    splines.project_()
    return splines


def values(splines: ModulusSplines, u: Tensor) -> tuple[Tensor, Tensor]:
    """phi(u) and psi(u) of every profile, real (filter, u)."""
    pieces, filters = splines.pieces_of(), torch.arange(3)
    columns = u.expand(3, -1)[..., None]
    ratio, potential = pieces.ratio(columns, filters), pieces.potential(columns, filters)
    return (ratio[..., 0] * u).detach(), potential[..., 0].detach()


@pytest.mark.parametrize("weak_convexity", [0.0, 0.5, 1.0])
def test_slopes_stay_in_their_interval_and_profiles_above_zero(weak_convexity: float) -> None:
    u = torch.linspace(1e-6, 1.5 * TOP, 4001, dtype=torch.float64)
    phi, _ = values(profiles(weak_convexity), u)
    slope = phi.diff(dim=1) / u.diff()
    assert slope.max() <= 1 + 1e-9 and slope.min() >= -weak_convexity - 1e-9
    assert slope.max() > 0.99, "the interval is made use of"
    assert weak_convexity == 0 or slope.min() < -0.99 * weak_convexity
    assert phi.min() >= -1e-12
    assert_close(phi[:, u > TOP], phi[:, -1:].expand(-1, int((u > TOP).sum())))


def test_what_would_fall_below_zero_stays_there_until_it_rises() -> None:
    splines = ModulusSplines(1, 4, 16.0, 1.0).double()
    splines.slopes.data = torch.tensor([[0.5, -1.0, -1.0, 1.0]], dtype=torch.float64)
    # The knots are 0, 1, 4, 9, 16.
    assert_close(splines.pieces_of().value[0], torch.tensor([0, 0.5, 0, 0, 7.0]).double())


def test_the_potential_is_the_integral_of_the_profile() -> None:
    u = torch.linspace(1e-6, 1.5 * TOP, 20001, dtype=torch.float64)
    phi, psi = values(profiles(), u)
    summed = torch.cumulative_trapezoid(phi, u, dim=1)
    assert_close(psi[:, 1:], summed, rtol=1e-5, atol=1e-6)
    assert psi.min() >= 0


def test_the_first_piece_is_its_slope() -> None:
    """So phi(u) / u is one number there, and nothing happens to small responses that a division
    could spoil.
    """
    splines = profiles()
    u = torch.tensor([1e-6, 1e-4, 0.9 * TOP / PIECES**2], dtype=torch.float64)
    ratio = splines.pieces_of().ratio(u.expand(3, -1)[..., None], torch.arange(3))[..., 0]
    assert_close(ratio, splines.slopes[:, :1].clamp_min(0).expand(-1, 3))


def test_gradients_reach_every_slope() -> None:
    """And are those of differences."""
    splines = ModulusSplines(3, PIECES, TOP, 0.5).double()
    u = torch.linspace(0.01, 1.2 * TOP, 100, dtype=torch.float64).expand(3, -1)[..., None]

    def total() -> Tensor:
        return splines.pieces_of().ratio(u, torch.arange(3)).sum()

    total().backward()
    before = total().detach()
    for piece in range(PIECES):
        with torch.no_grad():
            splines.slopes[1, piece] += 1e-6
            difference = (total() - before) / 1e-6
            splines.slopes[1, piece] -= 1e-6
        assert splines.slopes.grad[1, piece].item() == pytest.approx(difference.item(), rel=1e-4)
        assert difference > 0
