"""The mean modulus of the difference."""

from torch import Tensor

from deqlab.core.options import options


@options
class L1Loss:
    """Mean modulus of the complex difference: sharp edges, and every slice weighs about alike."""

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images of one shape."""
        return (image - reference).abs().mean()
