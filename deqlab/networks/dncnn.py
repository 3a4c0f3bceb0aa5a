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

import torch
from torch import Tensor, nn
from torch.nn import functional

from deqlab.core.errors import InputError
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.convolution_norm import convolution_norm


class DnCNN(nn.Module):
    """R(x) = x + N(x) on complex images (batch, y, x); N is `depth` convolutions 3x3 of `width`
    channels with ReLU between.

    norm: None, or "group" for GroupNorm (batch-independent, not Lipschitz-bounded, so it excludes
        `lipschitz`).
    lipschitz: None, or an upper bound that `project_` enforces on Lip(N): each convolution operator
        is held to lipschitz^(1/depth).
    unshuffle: factor s of space-to-depth before and depth-to-space after N; sizes that s does not
        divide are padded and cropped.
    bias: whether the convolutions have biases. Without them and without norm, R(a x) = a R(x) for
        every a >= 0.
    residual: False gives R(x) = N(x), whose own Lipschitz constant `lipschitz` then bounds.
    """

    def __init__(
        self,
        depth: int = 17,
        width: int = 64,
        norm: str | None = None,
        lipschitz: float | None = None,
        unshuffle: int = 1,
        bias: bool = False,
        residual: bool = True,
    ):
        super().__init__()
        for name, value, least in (
            ("depth", depth, 2),
            ("width", width, 1),
            ("unshuffle", unshuffle, 1),
        ):
            if value < least:
                raise InputError(f"{name}: {value} given, at least {least} needed")
        if norm not in (None, "group"):
            raise InputError(f"norm: {norm!r} given, None or 'group' needed")
        if norm is not None and lipschitz is not None:
            raise InputError(
                "lipschitz: GroupNorm has no Lipschitz bound; choose norm=None or lipschitz=None"
            )
        if lipschitz is not None and not lipschitz > 0:
            raise InputError(f"lipschitz: {lipschitz} given, a number > 0 needed")
        self.lipschitz, self.unshuffle, self.residual = lipschitz, unshuffle, residual
        channels = 2 * unshuffle**2
        widths = [channels] + [width] * (depth - 1) + [channels]
        layers: list[nn.Module] = []
        for index, (inside, outside) in enumerate(itertools.pairwise(widths)):
            layers.append(nn.Conv2d(inside, outside, 3, padding=1, bias=bias))
            _start(layers[-1], index, depth)
            if index < depth - 1:
                if norm == "group":
                    layers.append(nn.GroupNorm(math.gcd(8, width), width))
                layers.append(nn.ReLU())
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.project_()

    def convolutions(self) -> list[nn.Conv2d]:
        """The convolutions in order."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    @torch.no_grad()
    def project_(self) -> None:
        """Scale each convolution back to its share of `lipschitz`; call once per training step,
        never inside a solve.
        """
        if self.lipschitz is None:
            return
        convolutions = self.convolutions()
        share = self.lipschitz ** (1 / len(convolutions))
        for convolution in convolutions:
            norm = convolution_norm(convolution.weight)
            if norm > share:
                convolution.weight.mul_(share / norm)

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
