"""The multi-level wavelet CNN: a U-net whose pooling is the Haar transform, so that no scale loses
what the next one has to invent again.

P. Liu, H. Zhang, K. Zhang, L. Lin and W. Zuo, Multi-level wavelet-CNN for image restoration, CVPRW
2018. Departures: no batch normalisation, which couples the samples of a batch; in its place a
convolution that keeps the number of channels adds to them, h + relu(K h), and one that changes it
is linear, without which deep stacks hardly began to learn; no biases, so that the map commutes with
the scale of its input (S. Mohan et al., Robust and interpretable blind image denoising via
bias-free CNNs, ICLR 2020); an odd side is continued by a zero, scale by scale.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn.functional import relu

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.wavelet_pool import wavelet_join, wavelet_split

# A convolution that adds starts at this share of its usual size.
SMALL = 0.3


@options
class MWCNNOptions(Options):
    """The architecture of an `MWCNN`."""

    widths: tuple[Count, ...] = option(
        (16, 32, 64), "channels at each scale, finest first, which is half the image's size already"
    )
    layers: Annotated[int, Ge(2)] = option(
        2, "convolutions at each scale on the way down, and again on that up"
    )
    residual: bool = option(True, "R = I + N; else R = N")

    sizes: ClassVar[Sizes] = {
        "small": {"widths": (16, 32, 64), "layers": 2},
        "published": {"widths": (160, 256, 256), "layers": 4},
    }

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")


class MWCNN(nn.Module):
    """R(x) = x + N(x) on complex images (batch, y, x) of any size; N is a `MultiWavelet` network of
    real and imaginary part. Its arguments are `MWCNNOptions`.

    It starts as the identity and promises no Lipschitz bound. R(a x) = a R(x) for every a >= 0.
    """

    Options = MWCNNOptions
    lipschitz: float | None = None

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = chosen = self.Options.of(*values, **named)
        self.residual = chosen.residual
        self.network = MultiWavelet(2, 2, chosen.widths, chosen.layers)

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def forward(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        change = to_complex(self.network(to_channels(image)).to(image.real.dtype))
        return image + change if self.residual else change


class MultiWavelet(nn.Module):
    """N: real (batch, inside, y, x) of any size to (batch, outside, y, x), N(a h) = a N(h), a >= 0.

    widths: channels at each scale, finest first; each scale has half the rows and columns of the
    one before, the first of them half the image's. layers: convolutions at each scale, down and up
    again. N starts as 0.
    """

    def __init__(self, inside: int, outside: int, widths: Sequence[int], layers: int = 2):
        super().__init__()
        between = list(widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(4 * given, width), *map(Adding, [width] * (layers - 1)))
            for given, width in zip([inside, *between], widths)
        )
        self.up = nn.ModuleList(
            nn.Sequential(*map(Adding, [width] * (layers - 1)), _convolution(width, 4 * wanted))
            for width, wanted in zip(widths, [outside, *between])
        )
        nn.init.zeros_(list(self.up[0].parameters())[-1])
        # torch's annotations of Module.to leave memory_format alone out
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, channels: Tensor) -> Tensor:
        """N(h)."""
        return self._from(channels, 0)

    def _from(self, channels: Tensor, scale: int) -> Tensor:
        """What this scale and those below it make of the features of the one above."""
        bands = wavelet_split(channels).contiguous(memory_format=torch.channels_last)
        features = self.down[scale](bands)
        if scale + 1 < len(self.down):
            features = features + self._from(features, scale + 1)
        rows, columns = channels.shape[-2:]
        return wavelet_join(self.up[scale](features), (rows, columns))


class Adding(nn.Module):
    """h + relu(K h) with a convolution K 3x3, real (batch, width, y, x)."""

    def __init__(self, width: int):
        super().__init__()
        self.kernel = _convolution(width, width)
        with torch.no_grad():
            self.kernel.weight.mul_(SMALL)

    def forward(self, features: Tensor) -> Tensor:
        """The features, changed."""
        return features + relu(self.kernel(features))


def _convolution(inside: int, outside: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, padding=1, bias=False)


@options
class MultiWaveletNetwork:
    """A `MultiWavelet` network, for whoever says between how many channels."""

    widths: tuple[Count, ...] = option(
        (16, 32, 64), "channels at each scale, finest first, which is half the image's size already"
    )
    layers: Annotated[int, Ge(2)] = option(
        2, "convolutions at each scale on the way down, and again on that up"
    )

    def __post_init__(self) -> None:
        if not self.widths:
            raise InputError("widths: () given, one whole number >= 1 a scale needed")

    def build(self, inside: int, outside: int) -> MultiWavelet:
        """The network, from `inside` to `outside` channels."""
        return MultiWavelet(inside, outside, self.widths, self.layers)
