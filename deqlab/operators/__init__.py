"""Linear measurement operators A: y = A(x), A.H(y), A.normal(x), A @ B, A.norm(...)."""

from deqlab.operators.cartesian import CartesianOperator
from deqlab.operators.linear import LinearOperator

__all__ = ["CartesianOperator", "LinearOperator"]
