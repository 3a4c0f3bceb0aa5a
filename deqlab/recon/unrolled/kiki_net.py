"""KIKI-net: networks on k-space and on the image in turn, with data consistency after each.

T. Eo, Y. Jun, T. Kim, J. Jang, H.-J. Lee and D. Hwang, KIKI-net: cross-domain convolutional neural
networks for reconstructing undersampled magnetic resonance images, MRM 80 (2018). Departures: many
coils, one by one, where the paper has one; a network on k-space sees it balanced, for the centre is
a thousand times the rim, and a convolution of it as it is learns little but the centre; k-space is
brought to one scale and phase; the loss of every piece is that of its image.
"""

from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.options import Count, NonNegative, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.dncnn import DnCNN
from deqlab.recon.base import CARTESIAN, Takes
from deqlab.recon.steps.data_consistency import Hard, WholeKspace
from deqlab.recon.unrolled.base import Measured, Unrolled
from deqlab.recon.unrolled.cascade import OnGrid


@options
class KIKINetOptions(Options):
    """The architecture of `KIKINet`; the defaults are the published size, 1.25 M parameters."""

    iterations: Count = option(4, "networks, on k-space and on the image in turn: K, I, K, I")
    depth: Count = option(16, "convolutions 3x3 of each network, before the one that ends it")
    width: Count = option(48, "channels between the convolutions")
    balance: NonNegative = option(
        1.5,
        "power of 1 + radius (in samples) by which k-space is multiplied for a network and divided"
        " after it; 0 for k-space as it is",
    )

    sizes: ClassVar[Sizes] = {
        "small": {"iterations": 4, "depth": 5, "width": 24},
        "published": {"iterations": 4, "depth": 16, "width": 48},
    }


class KIKINet(Unrolled[OnGrid]):
    """image = x_n, k-space filled by a network (K) and the image cleaned by another (I) in turn.
    Its arguments are `KIKINetOptions`.

    K: each coil of k-space by itself, not residual; the first sees what was measured and zeros,
    later ones what the image implies with measured samples where there are some. I: residual. After
    each the measured samples are put back, coil by coil, and the coils are combined by their maps.
    """

    Options = KIKINetOptions
    takes: ClassVar[Takes] = CARTESIAN
    trained_by: ClassVar[str | None] = "piecewise"

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        size = self.options
        self.networks = nn.ModuleList(
            DnCNN(depth=size.depth + 1, width=size.width, bias=True, residual=index % 2 == 1)
            for index in range(size.iterations)
        )
        self.consistency = Hard()

    def start(self, measured: Measured) -> OnGrid:
        """The zero-filled image."""
        return OnGrid(measured.projection, WholeKspace(measured.A))

    def step(self, index: int, state: OnGrid, measured: Measured) -> OnGrid:
        """A network, then data consistency."""
        y, mask, network = measured.kspace, measured.A.mask, self.networks[index]
        if index % 2 == 0:
            seen = y if index == 0 else self.consistency(state.whole.kspace(state.image), y, mask)
            predicted = self._filled(network, seen)
        else:
            predicted = state.whole.kspace(network(state.image))
        return replace(state, image=state.whole.image(self.consistency(predicted, y, mask)))

    def image(self, state: OnGrid) -> Tensor:
        """Its image."""
        return state.image

    def _filled(self, network: nn.Module, kspace: Tensor) -> Tensor:
        """K of every coil as a member of a larger batch, complex (batch, coil, y, x)."""
        weights = balance(kspace, self.options.balance)
        found: Tensor = network((weights * kspace).flatten(0, 1))
        return found.unflatten(0, kspace.shape[:2]) / weights


def balance(kspace: Tensor, power: float) -> Tensor:
    """(1 + radius)^power over the root of the number of samples, real (y, x): an image of maximum 1
    has, times this, a k-space of about 1 throughout.

    radius: distance from the centre in samples. An edge's k-space falls as radius^-1.5.
    """
    rows, columns = kspace.shape[-2:]
    away = [
        torch.arange(length, device=kspace.device, dtype=kspace.real.dtype) - length // 2
        for length in (rows, columns)
    ]
    return (1 + torch.hypot(away[0][:, None], away[1])) ** power / (rows * columns) ** 0.5
