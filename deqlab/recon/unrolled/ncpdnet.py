"""NC-PDNet: the primal steps of a primal-dual network for k-space off the grid.

Z. Ramzi, G. R. Chaithya, J.-L. Starck and P. Ciuciu, NC-PDNet: a density-compensated unrolled
network for 2D and 3D non-Cartesian MRI reconstruction, IEEE TMI 41 (2022). Departures: the image
starts as the compensated adjoint in every buffer; k-space is brought to one scale and phase.
"""

from typing import Annotated, Any, ClassVar, Literal

from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Count, Options, option, options
from deqlab.core.sizes import Sizes
from deqlab.networks.registry import COIL_REFINERS
from deqlab.operators import LinearOperator
from deqlab.recon.base import ANY, Takes
from deqlab.recon.steps.compensation import DENSITIES, PipeMenon, compensated
from deqlab.recon.steps.refined_maps import refined
from deqlab.recon.unrolled.base import Measured, Unrolled
from deqlab.recon.unrolled.pdnet import Step
from deqlab.recon.unrolled.xpdnet import in_every_buffer, with_gradient


@options
class NCPDNetOptions(Options):
    """The architecture of `NCPDNet`; the defaults are the published size for images, 0.16 M
    parameters. That for volumes, 0.07 M, is iterations=6, primal=2, width=16, dimensions=3.
    """

    iterations: Count = option(10, "steps, each with its own weights")
    primal: Count = option(5, "images that are carried along; the first meets the operator")
    width: Count = option(32, "channels of the two hidden layers of each network")
    dimensions: Literal[2, 3] = option(2, "of what is reconstructed: 2 for images, 3 for volumes")
    density: Annotated[Any, DENSITIES] = option(
        PipeMenon(), "how much samples off the grid count in the adjoint"
    )
    refine: Annotated[Any, COIL_REFINERS] | None = option(
        None, "what refines the coil maps at first; None for maps as they are given"
    )

    sizes: ClassVar[Sizes] = {
        "small": {"iterations": 5, "primal": 3, "width": 16},
        "published": {"iterations": 10, "primal": 5, "width": 32},
        "published-3d": {"iterations": 6, "primal": 2, "width": 16, "dimensions": 3},
    }


class NCPDNet(Unrolled[Tensor]):
    """image = x_n[0] after n steps x <- x + P(x, A^H D (A x[0] - y)). Its arguments are
    `NCPDNetOptions`.

    x: buffers of images or volumes, complex (batch, primal, ...); P: three convolutions of real and
    imaginary parts, each step with its own. D: density weights, times one number so that the mean
    of |A^H D A 1| is 1; on the grid D is 1. The network is given D^(1/2) A and D^(1/2) y, in which
    D stands in the adjoint and nowhere else.
    """

    Options = NCPDNetOptions
    takes: ClassVar[Takes] = ANY

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        size = self.options
        self.primal = nn.ModuleList(
            Step(size.primal + 1, size.primal, size.width, size.dimensions)
            for _ in range(size.iterations)
        )
        self.refiner = None if size.refine is None else COIL_REFINERS.build(size.refine)

    @property
    def depth(self) -> int:
        """Steps."""
        return self.options.iterations

    def seen(self, kspace: Tensor, A: LinearOperator) -> tuple[Tensor, LinearOperator]:
        """D^(1/2) y and D^(1/2) A, which has refined coil maps. InputError for an operator of
        images where volumes are reconstructed, and the other way round.
        """
        if A.dimensions != self.options.dimensions:
            raise InputError(
                f"NCPDNet: dimensions: {self.options.dimensions} given, but {type(A).__name__} is"
                f" for {A.dimensions}-dimensional images"
            )
        return compensated(kspace, refined(A, self.refiner, kspace), self.options.density)

    def start(self, measured: Measured) -> Tensor:
        """The compensated adjoint in every buffer."""
        return in_every_buffer(measured.projection, self.options.primal)

    def step(self, index: int, state: Tensor, measured: Measured) -> Tensor:
        """x + P(x, A^H D (A x[0] - y))."""
        return state + self.primal[index](with_gradient(state, measured))

    def image(self, state: Tensor) -> Tensor:
        """The first buffer, which meets the operator."""
        return state[:, 0]
