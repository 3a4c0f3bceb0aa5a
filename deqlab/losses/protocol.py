"""What a loss promises to the trainer."""

from typing import Protocol

from torch import Tensor


class Loss(Protocol):
    """A number that is smaller the nearer an image is to its reference."""

    def __call__(self, image: Tensor, reference: Tensor) -> Tensor:
        """A real scalar, differentiable in `image`, from complex (or real) images of one shape."""
