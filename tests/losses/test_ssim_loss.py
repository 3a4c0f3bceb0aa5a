"""The differentiable SSIM against the metric, and the gradient of its windows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.losses import SSIMLoss
from deqlab.losses.window_mean import window_mean
from deqlab.metrics import SSIM, ssim


def pair(dtype=torch.complex128) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    truth = torch.randn(3, 14, 17, dtype=dtype) * torch.tensor([0.3, 1.0, 2.0])[:, None, None]
    return truth + 0.2 * torch.randn_like(truth), truth


def test_is_one_less_the_metric() -> None:
    image, truth = pair()
    size, target = image.abs().numpy(), truth.abs().numpy()
    assert float(1 - SSIMLoss(per="volume")(image, truth)) == pytest.approx(ssim(target, size))
    sliced = SSIM(by="slice")(target, size)
    assert float(1 - SSIMLoss()(image, truth)) == pytest.approx(sliced)
    ranged = SSIM(data_range=2.5)(target, size)
    assert float(1 - SSIMLoss(data_range=2.5)(image, truth)) == pytest.approx(ranged)


def test_is_differentiable_also_where_nothing_is() -> None:
    image, truth = pair()
    assert torch.autograd.gradcheck(SSIMLoss(), (image.requires_grad_(), truth))
    empty = torch.zeros(1, 9, 9, dtype=torch.complex64, requires_grad=True)
    loss = SSIMLoss()(empty, torch.zeros_like(empty))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0) and torch.isfinite(empty.grad.abs()).all()


def test_window_means_are_means_of_windows() -> None:
    values = torch.randn(2, 9, 11, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.avg_pool2d(values[:, None], 7, 1)[:, 0]
    torch.testing.assert_close(window_mean(values), expected)
    assert torch.autograd.gradcheck(window_mean, (values,))
    assert torch.autograd.gradgradcheck(window_mean, (values,))


def test_images_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(InputError, match="6x9 given, at least 7x7"):
        SSIMLoss()(torch.ones(1, 6, 9), torch.ones(1, 6, 9))


def test_a_bright_slice_does_not_decide_for_a_dark_one() -> None:
    image, truth = pair()
    each = [float(SSIMLoss()(i[None], t[None])) for i, t in zip(image, truth)]
    assert float(SSIMLoss()(image, truth)) == pytest.approx(np.mean(each))
    assert float(SSIMLoss(per="volume")(image, truth)) != pytest.approx(np.mean(each), rel=1e-3)
