"""A U-net as a denoiser of complex images: it sees the whole image at its coarsest scale, where a
stack of small convolutions sees a neighbourhood of a few pixels.
"""

from typing import Any, ClassVar

from torch import Tensor, nn

from deqlab.core.options import Count, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.border import to_channels, to_complex
from deqlab.networks.multi_scale import MultiScale


@options
class UNetOptions(Options):
    """The architecture of a `UNet`."""

    widths: tuple[Count, ...] = option((16, 32, 64), "channels at each scale, finest first")
    residual: bool = option(True, "R = I + N; else R = N")

    sizes: ClassVar[Sizes] = {
        "small": {"widths": (16, 32, 64)},
        "published": {"widths": (16, 32, 64, 128)},
    }


class UNet(nn.Module):
    """R(x) = x + N(x) on complex images (batch, y, x) of any size; N is a `MultiScale` network of
    real and imaginary part. Its arguments are `UNetOptions`.

    It promises no Lipschitz bound. Without biases R(a x) = a R(x) for every a >= 0.
    """

    Options = UNetOptions
    lipschitz: float | None = None

    def __init__(self, *values: Any, **named: Any):
        super().__init__()
        self.options = self.Options.of(*values, **named)
        self.residual = self.options.residual
        self.network = MultiScale(2, 2, self.options.widths)

    def after_step(self) -> None:
        """Nothing: no bound is enforced."""

    def forward(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""
        # Under autocast the convolutions ran in bfloat16; the image keeps the precision it came in.
        change = to_complex(self.network(to_channels(image)).to(image.real.dtype))
        return image + change if self.residual else change
