"""The root-mean-square error relative to the reference."""

from torch import Tensor
from torch.linalg import vector_norm

from deqlab.core.options import options

# Added to the root mean square of a reference (images have a peak near 1), so that an empty one is
# no division by 0.
FLOOR = 1e-6


@options
class NRMSELoss:
    """Mean over the samples of ||image - reference|| / ||reference||, of complex images.

    Its minimiser for one sample is that of the squared error. In a batch, or from step to step, a
    sample of large error counts by its error and not by the square of it, and a dim one as much as
    a bright one.
    """

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images (batch, y, x)."""
        axes = tuple(range(1, reference.ndim))
        size = vector_norm(reference, dim=axes)
        positions = reference[0].numel() ** 0.5
        return (vector_norm(image - reference, dim=axes) / (size + FLOOR * positions)).mean()
