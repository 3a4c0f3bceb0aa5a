"""XPDNet: the primal steps of a primal-dual network, with a network of many scales in each.

Z. Ramzi, P. Ciuciu and J.-L. Starck, XPDNet for MRI reconstruction: an application to the 2020
fastMRI challenge, arXiv:2010.07290. Departures: which network stands in a step is a choice; the
image starts as the zero-filled one in every buffer; k-space is brought to one scale and phase.
"""

from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from deqlab.core.options import Count, Options, option, options
from deqlab.networks.coil_refiner import CoilRefinerOptions
from deqlab.networks.multi_scale import MultiScaleNetwork
from deqlab.networks.registry import CHANNEL_NETWORKS, COIL_REFINERS
from deqlab.operators import LinearOperator
from deqlab.recon.base import Takes
from deqlab.recon.steps.refined_maps import refined
from deqlab.recon.unrolled.base import Measured, Unrolled


@options
class XPDNetOptions(Options):
    """The architecture of `XPDNet`."""

    iterations: Count = option(10, "steps, each with its own weights")
    primal: Count = option(5, "images that are carried along; the first meets the operator")
    network: Annotated[Any, CHANNEL_NETWORKS] = option(
        MultiScaleNetwork(), "what changes the images in a step"
    )
    refine: Annotated[Any, COIL_REFINERS] | None = option(
        CoilRefinerOptions(), "what refines the coil maps at first; None for maps as they are given"
    )


class XPDNet(Unrolled[Tensor]):
    """image = x_n[0] after n steps x <- x + P(x, A^H (A x[0] - y)). Its arguments are
    `XPDNetOptions`.

    x: buffers of images, complex (batch, primal, y, x); P: a network of their real and imaginary
    parts, each step with its own. A has refined coil maps, the same in all steps.
    """

    Options = XPDNetOptions
    takes: ClassVar[Takes] = Takes("any linear operator of images", (2,))

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        primal, make = self.options.primal, CHANNEL_NETWORKS.build(self.options.network).build
        self.networks = nn.ModuleList(
            make(2 * (primal + 1), 2 * primal) for _ in range(self.options.iterations)
        )
        chosen = self.options.refine
        self.refiner = None if chosen is None else COIL_REFINERS.build(chosen)

    @property
    def depth(self) -> int:
        """Steps."""
        return self.options.iterations

    def seen(self, kspace: Tensor, A: LinearOperator) -> tuple[Tensor, LinearOperator]:
        """The operator has refined coil maps."""
        return kspace, refined(A, self.refiner, kspace)

    def start(self, measured: Measured) -> Tensor:
        """The zero-filled image in every buffer."""
        return in_every_buffer(measured.projection, self.options.primal)

    def step(self, index: int, state: Tensor, measured: Measured) -> Tensor:
        """x + P(x, A^H (A x[0] - y))."""
        seen = with_gradient(state, measured)
        channels = torch.cat((seen.real, seen.imag), 1)
        change = self.networks[index](channels.contiguous(memory_format=torch.channels_last))
        return state + torch.complex(*change.to(seen.real.dtype).chunk(2, 1))

    def image(self, state: Tensor) -> Tensor:
        """The first buffer, which meets the operator."""
        return state[:, 0]


def in_every_buffer(image: Tensor, count: int) -> Tensor:
    """The image `count` times: complex (batch, count, ...) from (batch, ...)."""
    return image.unsqueeze(1).repeat_interleave(count, 1)


def with_gradient(buffers: Tensor, measured: Measured) -> Tensor:
    """The buffers and, after them, A^H (A x - y) of the first: complex (batch, count + 1, ...)."""
    A = measured.A
    gradient = A.H(A(buffers[:, 0]) - measured.kspace)
    return torch.cat((buffers, gradient.unsqueeze(1)), 1)
