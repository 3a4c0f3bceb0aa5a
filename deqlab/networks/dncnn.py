"""The DnCNN denoiser, with an honest bound on its Lipschitz constant where one is asked for.

K. Zhang, W. Zuo, Y. Chen, D. Meng and L. Zhang, Beyond a Gaussian denoiser: residual learning of
deep CNN for image denoising, IEEE TIP 26 (2017). Departures: no batch normalisation (it couples the
samples of a batch, so that an equilibrium would depend on its batch mates); no biases by default,
so that the denoiser commutes with the image's intensity scale (S. Mohan et al., Robust and
interpretable blind image denoising via bias-free CNNs, ICLR 2020); optional pixel unshuffling for a
wider view at the same cost (K. Zhang et al., FFDNet, 2018).
"""

import itertools
import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, Positive, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.convolution_norm import convolution_norm
from deqlab.networks.norm_preserving import orthogonalise_


@options
class DnCNNOptions(Options):
    """The architecture of a `DnCNN`."""

    depth: Annotated[int, Ge(2)] = option(17, "convolutions 3x3, with ReLU between")
    width: Count = option(64, "channels between the convolutions")
    norm: Literal["group"] | None = option(
        None, "GroupNorm, which knows no batch mates but has no Lipschitz bound either"
    )
    lipschitz: Positive | None = option(
        None, "a bound on Lip(N), enforced after every training step; None for no bound"
    )
    unshuffle: Count = option(1, "factor of space-to-depth before and depth-to-space after N")
    bias: bool = option(False, "whether convolutions have biases; without, R(a x) = a R(x), a >= 0")
    residual: bool = option(True, "R = I + N; else R = N, whose own constant `lipschitz` bounds")

    sizes: ClassVar[Sizes] = {
        "small": {"depth": 7, "width": 32},
        "published": {"depth": 17, "width": 64},
    }

    def __post_init__(self) -> None:
        if self.norm is not None and self.lipschitz is not None:
            raise InputError(
                "lipschitz: GroupNorm has no Lipschitz bound; choose norm=None or lipschitz=None"
            )


class DnCNN(nn.Module):
    """R(x) = x + N(x) on complex images (batch, y, x); N is `depth` convolutions 3x3 of `width`
    channels with ReLU between. Its arguments are `DnCNNOptions`.

    Each of `depth` convolution operators is held to lipschitz^(1/depth) by `project_`. Sizes that
    `unshuffle` does not divide are padded and cropped.
    """

    Options = DnCNNOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = chosen = self.Options.of(*values, **named)
        self.lipschitz, self.residual = chosen.lipschitz, chosen.residual
        self.unshuffle, depth, width = chosen.unshuffle, chosen.depth, chosen.width
        channels = 2 * self.unshuffle**2
        widths = [channels] + [width] * (depth - 1) + [channels]
        layers: list[nn.Module] = []
        for index, (inside, outside) in enumerate(itertools.pairwise(widths)):
            convolution = nn.Conv2d(inside, outside, 3, padding=1, bias=chosen.bias)
            start = _start if chosen.lipschitz is None else _start_bounded
            start(convolution, index, depth)
            layers.append(convolution)
            if index < depth - 1:
                if chosen.norm == "group":
                    layers.append(nn.GroupNorm(math.gcd(8, width), width))
                layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers)
        # torch's annotations of Module.to leave memory_format alone out
        self.layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.project_()

    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    @torch.no_grad()
    def project_(self) -> None:
        """Bring each convolution to its share of `lipschitz`, all but the last with singular values
        that are alike, so that features reach it; call once per training step, never inside a
        solve.
        """
        if self.lipschitz is None:
            return
        *hidden, last = self.convolutions()
        share = self.lipschitz ** (1 / (len(hidden) + 1))
        for convolution in hidden:
            orthogonalise_(convolution.weight)
            convolution.weight.mul_(share)
        norm = convolution_norm(last.weight)
        if norm > share:
            last.weight.mul_(share / norm)

    def after_step(self) -> None:
        """`project_`."""
        self.project_()

    def residual_part(self, image: Tensor) -> Tensor:
        """N(x), complex (batch, y, x)."""
        channels = to_channels(image)
        rows, columns = channels.shape[-2:]
        pad = (-columns % self.unshuffle, -rows % self.unshuffle)
        if any(pad):
            channels = functional.pad(channels, (0, pad[0], 0, pad[1]))
        if self.unshuffle > 1:
            channels = functional.pixel_unshuffle(channels, self.unshuffle).contiguous(
                memory_format=torch.channels_last
            )
        channels = self.layers(channels)
        if self.unshuffle > 1:
            channels = functional.pixel_shuffle(channels, self.unshuffle)
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        return to_complex(channels[..., :rows, :columns].to(image.real.dtype))

    def forward(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""
        change = self.residual_part(image)
        return image + change if self.residual else change


def _start(convolution: nn.Conv2d, index: int, depth: int) -> None:
    """Initial weights: features pass unchanged but for a little noise, and N = 0, so that R is the
    identity.

    An output that starts large makes the optimiser shrink every layer at once, and without biases
    or batch normalisation the features do not come back: of the initialisations tried, this one
    alone learned from the first step on.
    """
    if index == depth - 1:
        nn.init.zeros_(convolution.weight)
    elif index == 0:
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    else:
        nn.init.dirac_(convolution.weight)
        with torch.no_grad():
            convolution.weight.add_(0.02 * torch.randn_like(convolution.weight))
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)


def _start_bounded(convolution: nn.Conv2d, index: int, depth: int) -> None:
    """The same where every convolution's norm is held at a bound: features pass without a loss, and
    without the noise, which alone has a norm near 1 and would make the bound shrink what passes to
    half in every layer; behind 16 of them no gradient is left.
    """
    if index == 0:
        nn.init.zeros_(convolution.weight)
        with torch.no_grad():
            nn.init.orthogonal_(convolution.weight[:, :, 1, 1])
    elif index == depth - 1:
        nn.init.zeros_(convolution.weight)
    else:
        nn.init.dirac_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
