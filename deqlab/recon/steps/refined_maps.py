"""A measurement with the coil maps that a network makes of its own."""

from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.networks.coil_refiner import CoilRefiner
from deqlab.operators import LinearOperator
from deqlab.operators.coil_operator import CoilOperator


def refined(A: LinearOperator, refiner: CoilRefiner | None, like: Tensor) -> LinearOperator:
    """A with the maps refiner(c) in place of its own c, in the precision of `like`; A itself where
    there is no refiner, or where a single coil has no map. Gradients reach the refiner.

    InputError for an operator whose maps cannot be replaced.
    """
    if refiner is None:
        return A
    if not isinstance(A, CoilOperator):
        raise InputError(
            f"refine: the coil maps of {type(A).__name__} cannot be replaced; None needed, or a"
            " Cartesian or non-Cartesian operator"
        )
    if A.coil_maps is None:
        return A
    return A.with_maps(refiner(A.coil_maps.to(like.dtype)))
