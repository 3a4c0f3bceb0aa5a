"""Cascade-net: networks that clean the image, and data consistency after each of them.

J. Schlemper, J. Caballero, J. V. Hajnal, A. N. Price and D. Rueckert, A deep cascade of
convolutional neural networks for dynamic MR image reconstruction, IEEE TMI 37 (2018). Departures:
many coils, where the paper has one: samples are replaced coil by coil, and the coils are combined
by their maps; k-space is brought to one scale and phase.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from deqlab.core.options import Count, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.dncnn import DnCNNOptions
from deqlab.networks.protocol import keep_promise
from deqlab.networks.registry import DENOISERS
from deqlab.recon.base import CARTESIAN, Takes
from deqlab.recon.steps.data_consistency import CONSISTENCIES, HardOptions, WholeKspace
from deqlab.recon.unrolled.base import Measured, Unrolled


@options
class CascadeNetOptions(Options):
    """The architecture of `CascadeNet`; the defaults are the published size, 0.42 M parameters."""

    iterations: Count = option(5, "networks in a row, each with its own weights")
    denoiser: Annotated[Any, DENOISERS] = option(
        DnCNNOptions(depth=6, width=48, bias=True), "the architecture of each of them"
    )
    consistency: Annotated[Any, CONSISTENCIES] = option(
        HardOptions(), "how measured samples enter the image after each; `soft` where noise matters"
    )

    sizes: ClassVar[Sizes] = {
        "small": {"iterations": 4, "denoiser": DnCNNOptions(depth=4, width=24, bias=True)},
        "published": {"iterations": 5, "denoiser": DnCNNOptions(depth=6, width=48, bias=True)},
    }


@dataclass(frozen=True)
class OnGrid:
    """An image, complex (batch, y, x), and the way to the whole k-space of its coils."""

    image: Tensor
    whole: WholeKspace


class CascadeNet(Unrolled[OnGrid]):
    """image = x_n with x <- C^+ F^H D(F C R_k(x), y) from the zero-filled image: R_k a residual
    network, D the data consistency. Its arguments are `CascadeNetOptions`.

    C^+: the combination by the maps. With one coil and hard data consistency the measured samples
    are those of the image; with several they are so as far as one image can have them.
    """

    Options = CascadeNetOptions
    takes: ClassVar[Takes] = CARTESIAN

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        chosen = self.options
        self.networks = nn.ModuleList(
            DENOISERS.build(chosen.denoiser)  # type: ignore[misc]  # every denoiser is a module
            for _ in range(chosen.iterations)
        )
        self.consistency = CONSISTENCIES.build(chosen.consistency)

    def after_step(self) -> None:
        """Bring the weights of each network back to what it promises."""
        for network in self.networks:
            keep_promise(network)

    def start(self, measured: Measured) -> OnGrid:
        """The zero-filled image."""
        return OnGrid(measured.projection, WholeKspace(measured.A))

    def step(self, index: int, state: OnGrid, measured: Measured) -> OnGrid:
        """A network, then data consistency."""
        predicted = state.whole.kspace(self.networks[index](state.image))
        kspace = self.consistency(predicted, measured.kspace, measured.A.mask)
        return replace(state, image=state.whole.image(kspace))

    def image(self, state: OnGrid) -> Tensor:
        """Its image."""
        return state.image
