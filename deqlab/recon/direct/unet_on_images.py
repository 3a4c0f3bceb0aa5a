"""A network on the zero-filled image: no physics, and nothing that holds it to the data.

J. Zbontar et al., fastMRI: an open dataset and benchmarks for accelerated MRI, arXiv:1811.08839,
section 5.2, where the network sees magnitudes; here it sees the complex image.
"""

from typing import Annotated, Any, ClassVar

from torch import Tensor

from deqlab.core.options import Options, option, options
from deqlab.networks.protocol import keep_promise
from deqlab.networks.registry import DENOISERS
from deqlab.networks.unet import UNetOptions
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Model, Outcome
from deqlab.recon.steps.units import unit


@options
class UNetOnImagesOptions(Options):
    """The architecture of `UNetOnImages`."""

    denoiser: Annotated[Any, DENOISERS] = option(UNetOptions(), "the network R")


class UNetOnImages(Model):
    """image = R(A^H y), the zero-filled image without what R takes for artefacts. Its arguments are
    `UNetOnImagesOptions`.
    """

    Options = UNetOnImagesOptions
    trained_by: ClassVar[str | None] = "supervised"

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        self.denoiser = DENOISERS.build(self.options.denoiser)

    def after_step(self) -> None:
        """Bring the denoiser's weights back to what it promises."""
        keep_promise(self.denoiser)

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space that A measures."""
        projection = A.H(kspace)
        u = unit(projection)
        return Outcome(u * self.denoiser(projection / u))
