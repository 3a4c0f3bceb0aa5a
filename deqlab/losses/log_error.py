"""The logarithm of the error: what an average of decibels is made of."""

from torch import Tensor
from torch.linalg import vector_norm

from deqlab.core.options import Positive, option, options


@options
class LogErrorLoss:
    """Mean over the samples of log(||image - reference|| / ||reference|| + floor), of complex
    images; it may be negative.

    Halving the error of an easy sample counts as much as halving that of a hard one, as in a mean
    PSNR. Losses that are proportional to the error leave easy measurements, those of little noise
    and many coils, to what suits the hard ones.
    """

    floor: Positive = option(1e-3, "error at which a sample is good enough")

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar from complex (or real) images (batch, y, x)."""
        axes = tuple(range(1, reference.ndim))
        size = vector_norm(reference, dim=axes).clamp_min(self.floor)
        return (vector_norm(image - reference, dim=axes) / size + self.floor).log().mean()
