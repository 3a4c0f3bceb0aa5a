"""A denoiser that is one step down an energy which a network defines.

S. Hurault, A. Leclaire and N. Papadakis, Gradient step denoiser for convergent plug-and-play, ICLR
2022: g(x) = 1/2 ||x - N(x)||^2 is an energy for any network N, and R = I - grad g denoises as well
as N. With such an R the equilibria of DE-Grad are critical points of 1/2 ||A x - y||^2 + weight
g(x): there is something that a solve can be seen to lower. The price is a backward pass in every
evaluation.
"""

from typing import Any

import torch
from torch import Tensor, nn

from deqlab.core.options import Options, option, options
from deqlab.networks.demodulated_unet import DemodulatedUNet, DemodulatedUNetOptions
from deqlab.networks.told_network import AtLevel


@options
class GradientStepOptions(Options):
    """The architecture of a `GradientStep`."""

    network: DemodulatedUNetOptions = option(
        DemodulatedUNetOptions(widths=(32, 64, 96)), "N, which is small, for it is paid for twice"
    )


class GradientStep(nn.Module):
    """R(x, level) = x - grad g(x), g(x) = 1/2 ||x - N(x, level)||^2, on complex images (batch, y,
    x) of any size; N is a `DemodulatedUNet`. Its arguments are `GradientStepOptions`.

    g does not feel a global phase of x, and R(c x, |c| level) = c R(x, level). The Jacobian of R is
    symmetric. R starts as the identity; it promises no Lipschitz bound. With the corners of its
    activations g is differentiable almost everywhere only.
    """

    Options = GradientStepOptions
    lipschitz: float | None = None
    residual = True

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        self.inner = DemodulatedUNet(self.options.network)

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def at(self, level: Tensor) -> AtLevel:
        """R for images whose noise is known; see `DemodulatedUNet.at`."""
        return AtLevel(self, level)

    def energy(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """g(x), real (batch,). level: as in `DemodulatedUNet`."""
        left = image - self.inner(image, level)
        return 0.5 * torch.view_as_real(left).square().sum((-3, -2, -1))

    def forward(self, image: Tensor, level: Tensor | None = None) -> Tensor:
        """R(x), complex (batch, y, x); differentiable where gradients are wanted."""
        wanted = torch.is_grad_enabled()
        with torch.enable_grad():
            x = image if image.requires_grad else image.detach().requires_grad_()
            total = self.energy(x, level).sum()
            # torch's gradient in a complex number is that in its real part plus i times that in its
            # imaginary part: the direction in which a real function grows.
            gradient = torch.autograd.grad(total, x, create_graph=wanted)[0]
        return image - gradient
