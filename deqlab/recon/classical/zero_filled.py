"""The image of what was measured, with zeros for the rest."""

from torch import Tensor, nn

from deqlab.operators import LinearOperator


class ZeroFilled(nn.Module):
    """A^H y: what was not measured is taken for zero, so undersampling folds or smears the
    image.
    """

    def __init__(self):
        super().__init__()

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return A.H(kspace)
