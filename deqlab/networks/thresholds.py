"""Thresholds of complex coefficients: what is left of a modulus. The phase stays as it is."""

from typing import Annotated, Any, Protocol

from torch import Tensor

from deqlab.core.options import options
from deqlab.core.registry import Registry


class Threshold(Protocol):
    """c -> gain(|c|, t) c with gain 0 up to t, and 1 wherever t = 0."""

    def gain(self, modulus: Tensor, threshold: Tensor) -> Tensor:
        """The share that is kept, real and in [0, 1], of moduli > 0."""


@options
class Soft:
    """|c| - t of what is larger than t: the proximal operator of t |c|."""

    def gain(self, modulus: Tensor, threshold: Tensor) -> Tensor:
        """1 - t / |c|, or 0."""
        # Written like this, its slopes stay finite where |c| is next to nothing.
        return (modulus - threshold).clamp_min(0) / modulus


@options
class Garrote:
    """|c| - t^2 / |c| of what is larger than t: what is large is kept nearly whole.

    H.-Y. Gao, Wavelet shrinkage denoising using the non-negative garrote, J. Comput. Graph. Stat. 7
    (1998).
    """

    def gain(self, modulus: Tensor, threshold: Tensor) -> Tensor:
        """1 - t^2 / |c|^2, or 0."""
        left = (modulus - threshold).clamp_min(0) / modulus
        return left * ((modulus + threshold) / modulus)


THRESHOLDS: Registry[Threshold] = Registry("threshold", {"soft": Soft, "garrote": Garrote})

# The type of an option.
AnyThreshold = Annotated[Any, THRESHOLDS]
