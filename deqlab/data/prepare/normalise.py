"""Instance normalisation of magnitude images, fastMRI's rule, as an option.

Mean and standard deviation come from the *input* and are applied to input and target alike:
normalising the two separately would let a reconstruction of the wrong brightness look right. It is
for magnitudes only. A complex image is divided by one real scale (`Sample.scale`), since
subtracting a mean from real and imaginary parts changes its phase.
"""

from dataclasses import dataclass

from torch import Tensor

from deqlab.core.errors import InputError

CLAMP = (
    6.0  # standard deviations; fastMRI's value, which keeps a few bright vessels from ruling a loss
)


@dataclass(frozen=True)
class InstanceNormalisation:
    """The affine map of one image (or of each image of a batch): (image - mean) / std, limited to
    +-clamp.

    mean, std: real, shape (..., 1, 1) over images (..., y, x), in the image's units.
    """

    mean: Tensor
    std: Tensor
    clamp: float | None = CLAMP

    def __call__(self, image: Tensor) -> Tensor:
        """The normalised image, in units of `std`: real (..., y, x)."""
        _magnitudes_only(image)
        normalised = (image - self.mean) / self.std
        return normalised if self.clamp is None else normalised.clamp(-self.clamp, self.clamp)

    def undo(self, normalised: Tensor) -> Tensor:
        """The image in its own units again; what was clamped stays clamped."""
        return normalised * self.std + self.mean


def normalisation_of(image: Tensor, clamp: float | None = CLAMP) -> InstanceNormalisation:
    """The map that gives each image mean 0 and standard deviation 1 before clamping.

    image: real (..., y, x), the *input* of a network. clamp: None turns the limit off. A constant
    image gets the standard deviation 1. Raises InputError for a complex image.
    """
    _magnitudes_only(image)
    if clamp is not None and not clamp > 0:
        raise InputError(f"clamp: {clamp} given; more than 0, or None, needed")
    mean = image.mean(dim=(-2, -1), keepdim=True)
    std = image.std(dim=(-2, -1), keepdim=True)
    return InstanceNormalisation(mean, std.where(std > 0, 1.0), clamp)


def instance_normalise(
    image: Tensor, target: Tensor | None = None, clamp: float | None = CLAMP
) -> tuple[Tensor, Tensor | None]:
    """(`image`, `target`) both normalised by the statistics of `image`.

    Both real (..., y, x) with equal leading axes; no target gives None.
    """
    normalisation = normalisation_of(image, clamp)
    return normalisation(image), None if target is None else normalisation(target)


def _magnitudes_only(image: Tensor) -> None:
    if image.is_complex():
        raise InputError(
            "normalise: complex image given, magnitudes needed; divide it by one real scale instead"
        )
