"""The image of what was measured, with zeros for the rest."""

from torch import Tensor

from deqlab.core.options import options
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Method, Outcome


@options
class ZeroFilled(Method):
    """A^H y: what was not measured is taken for zero, so undersampling folds or smears. Its
    intensity is that of the data, also where A was scaled.
    """

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        image, gain = A.H(kspace), A.gain
        return Outcome(image if gain is None else image / gain.to(image.real.dtype))
