"""What may compare magnitudes, by name."""

from typing import Annotated, Any

from torch import Tensor

from deqlab.core.options import option, options
from deqlab.core.registry import Registry
from deqlab.losses.l1 import L1Loss
from deqlab.losses.l2 import L2Loss
from deqlab.losses.protocol import Loss
from deqlab.losses.ssim_loss import SSIMLoss, magnitude

OF_MAGNITUDES: Registry[Loss] = Registry(
    "loss of magnitudes", {"l1": L1Loss, "l2": L2Loss, "ssim": SSIMLoss}
)


@options
class MagnitudeLoss:
    """A loss of the two magnitudes, whatever the phases: for images whose phase nobody reads."""

    of: Annotated[Any, OF_MAGNITUDES] = option(L1Loss(), "what compares the magnitudes")

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images of one shape. Where the image is zero, its
        gradient is zero.
        """
        value: Tensor = self.of(magnitude(image), magnitude(reference))
        return value
