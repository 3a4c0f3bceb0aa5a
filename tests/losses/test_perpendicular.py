"""The perpendicular loss against its formula, at its seams, and under phase noise beside l2."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.core.options import updated
from deqlab.losses import (
    L1Loss,
    L2Loss,
    MagnitudeLoss,
    PerpendicularLoss,
    SSIMLoss,
    VectorFieldLoss,
    loss_surface,
)
from deqlab.losses.perpendicular import perpendicular
from deqlab.losses.registry import LOSSES


def test_is_its_formula_over_a_full_grid() -> None:
    """|Y| |sin angle| up to a right angle, 2 |Y| less that beyond, whatever |X|."""
    ratio = torch.logspace(-2, 2, 41, dtype=torch.float64)[:, None, None]
    angle = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)[None, :, None]
    size = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    # an axis of samples in front, so that each magnitude has its own maximum
    truth = (size * torch.exp(torch.tensor(0.4j))).expand(41, 721, 3)
    image = (ratio * torch.exp(1j * angle)) * truth
    truth, image = (z.permute(2, 0, 1) for z in (truth, image))
    sine = truth.abs() * angle.sin().abs().squeeze(-1)
    expected = torch.where(angle.squeeze(-1).abs() <= math.pi / 2, sine, 2 * truth.abs() - sine)
    assert (perpendicular(image, truth) - expected).abs().max() < 1e-6


@pytest.mark.parametrize("of", [L1Loss(), L2Loss(), SSIMLoss()], ids=repr)
def test_gradients_are_finite_everywhere(of) -> None:
    """At zero magnitude of either, at right and straight angles, and where images agree."""
    torch.manual_seed(0)
    truth = torch.randn(2, 9, 9, dtype=torch.complex64)
    truth[0, 0] = 0
    image = torch.randn_like(truth)
    image[:, 0] = 0
    image[:, 1] = truth[:, 1]
    image[:, 2] = -truth[:, 2]
    image[:, 3] = 1j * truth[:, 3]
    image[:, 4] = 1e-30 * image[:, 4]
    for reference in (truth, torch.zeros_like(truth)):
        x = image.clone().requires_grad_()
        loss = PerpendicularLoss(magnitude=of)(x, reference)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(torch.view_as_real(x.grad)).all()


def test_the_gradient_is_bounded_where_there_is_no_angle() -> None:
    """At most 2 |Y| over the floor's magnitude, in each pixel."""
    truth = torch.ones(1, 8, 8, dtype=torch.complex128)
    image = (1e-9 * torch.randn_like(truth)).requires_grad_()
    perpendicular(image, truth, floor=0.01).sum().backward()
    assert 1 < image.grad.abs().max() <= 2 / 0.01 * (1 + 1e-9)


@pytest.mark.parametrize("of", [L1Loss(), L2Loss(), SSIMLoss()], ids=repr)
def test_gradcheck_away_from_the_seams(of) -> None:
    torch.manual_seed(0)
    truth = torch.randn(2, 8, 8, dtype=torch.complex128)
    angle = torch.empty(2, 8, 8, dtype=torch.float64).uniform_(0.2, 1.3)
    angle = angle + (torch.rand(2, 8, 8) > 0.5) * math.pi / 2
    ratio = torch.empty(2, 8, 8, dtype=torch.float64).uniform_(1.2, 2)
    image = truth * torch.polar(ratio, angle * torch.sign(torch.randn(2, 8, 8)))
    loss = PerpendicularLoss(magnitude=of, weight=0.7)
    assert torch.autograd.gradcheck(loss, (image.requires_grad_(), truth))


def noisy(sigma: float) -> Tensor:
    """Unit vectors whose angles are normal, by quantiles, so that nothing is random."""
    quantiles = torch.special.ndtri((torch.arange(4000, dtype=torch.float64) + 0.5) / 4000)
    return torch.exp(1j * (0.7 + sigma * quantiles))[None, None]


def best_magnitude(loss, references: Tensor) -> float:
    """The |a| for which a is closest to all references, its angle at their middle, by a grid of
    step 0.001.
    """
    sizes = torch.arange(0.3, 1.3, 0.001, dtype=torch.float64)
    middle = torch.exp(torch.tensor(0.7j, dtype=torch.complex128))
    values = [float(loss((size * middle).expand(references.shape), references)) for size in sizes]
    return float(sizes[min(range(len(values)), key=values.__getitem__)])


@pytest.mark.parametrize(("sigma", "shrunk"), [(0.2, 0.980), (0.5, 0.882), (1.0, 0.607)])
def test_phase_noise_shrinks_l2_and_not_the_perpendicular_loss(sigma: float, shrunk: float) -> None:
    references = noisy(sigma)
    assert best_magnitude(L2Loss(), references) == pytest.approx(shrunk, abs=0.005)
    assert shrunk == pytest.approx(math.exp(-(sigma**2) / 2), abs=0.001)
    for of in (L1Loss(), L2Loss()):
        best = best_magnitude(PerpendicularLoss(magnitude=of), references)
        assert best == pytest.approx(1.0, abs=0.005)


def test_the_phase_is_found_too() -> None:
    references = noisy(0.5)
    angles = torch.linspace(-math.pi, math.pi, 721, dtype=torch.float64)
    loss = PerpendicularLoss()
    values = [float(loss(torch.exp(1j * a).expand(references.shape), references)) for a in angles]
    assert float(angles[values.index(min(values))]) == pytest.approx(0.7, abs=0.01)


def test_the_loss_of_magnitudes_is_chosen_by_name() -> None:
    image, truth = (torch.randn(1, 12, 12, dtype=torch.complex64) for _ in range(2))
    words = {"magnitude": "ssim", "weight": "0.5", "magnitude.per": "volume"}
    loss = updated(LOSSES.defaults("perpendicular"), words)
    expected = perpendicular(image, truth).mean() + 0.5 * SSIMLoss(per="volume")(image, truth)
    assert loss(image, truth) == pytest.approx(float(expected))
    with pytest.raises(InputError, match="nonsense"):
        updated(LOSSES.defaults("perpendicular"), {"magnitude": "nonsense"})
    with pytest.raises(InputError, match="real images given"):
        PerpendicularLoss()(image.real, truth.real)


def test_magnitude_loss_sees_no_phase() -> None:
    image, truth = (torch.randn(1, 12, 12, dtype=torch.complex64) for _ in range(2))
    turned = image * torch.exp(torch.tensor(1.1j))
    assert float(MagnitudeLoss()(turned, truth)) == pytest.approx(
        float(MagnitudeLoss()(image, truth)), rel=1e-5
    )
    x = torch.zeros_like(truth, requires_grad=True)
    MagnitudeLoss()(x, truth).backward()
    assert not x.grad.any()


def test_vectors_of_the_plane_are_complex_numbers() -> None:
    field, truth = (torch.randn(3, 2, 5, 6, dtype=torch.float64) for _ in range(2))
    loss = VectorFieldLoss()
    length = truth.square().sum(1).sqrt()
    cosine = (field * truth).sum(1) / (length * field.square().sum(1).sqrt())
    off = length * (1 - cosine.square()).sqrt()
    off = torch.where(cosine >= 0, off, 2 * length - off)
    sizes = (field.square().sum(1).sqrt() - length).abs()
    assert float(loss(field, truth)) == pytest.approx(float((off + sizes).mean()))
    last = VectorFieldLoss(axis=-1)
    assert float(last(field.movedim(1, -1), truth.movedim(1, -1))) == pytest.approx(
        float(loss(field, truth))
    )
    with pytest.raises(InputError, match="two components along axis 1"):
        loss(field[:, :1], truth[:, :1])


def test_a_surface_is_the_loss_at_every_ratio_and_phase() -> None:
    surface = loss_surface(PerpendicularLoss(), [0.5, 1.0, 2.0], [0.0, math.pi / 2, math.pi])
    assert surface.ratio.shape == surface.phase.shape == surface.loss.shape == (3, 3)
    expected = [[0.5, 1.5, 2.5], [0.0, 1.0, 2.0], [1.0, 2.0, 3.0]]
    torch.testing.assert_close(torch.tensor(surface.loss), torch.tensor(expected).double())
    l2 = loss_surface(L2Loss(), [2.0], [0.0, math.pi])
    torch.testing.assert_close(torch.tensor(l2.loss), torch.tensor([[1.0, 9.0]]).double())


def test_without_an_angle_it_is_the_mean_over_all_angles() -> None:
    truth = torch.tensor([[[2.0, 1j, 0.5 - 0.5j]]], dtype=torch.complex128)
    torch.testing.assert_close(perpendicular(torch.zeros_like(truth), truth), truth.abs())
