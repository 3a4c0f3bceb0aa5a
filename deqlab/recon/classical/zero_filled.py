"""The image of what was measured, with zeros for the rest."""

from torch import Tensor

from deqlab.core.options import options
from deqlab.operators import LinearOperator
from deqlab.recon.base import Budget, Method, Outcome


@options
class ZeroFilled(Method):
    """A^H y: what was not measured is taken for zero, so undersampling folds or smears."""

    def reconstruct(self, kspace: Tensor, A: LinearOperator, budget: Budget) -> Outcome:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return Outcome(A.H(kspace))
