"""Linear measurement operators A: y = A(x), A.H(y), A.normal(x), A @ B, A.norm(...)."""

from deqlab.operators.cartesian import CartesianOperator
from deqlab.operators.linear import LinearOperator
from deqlab.operators.ndft import NDFTOperator
from deqlab.operators.nufft import NUFFTOperator

__all__ = ["CartesianOperator", "LinearOperator", "NDFTOperator", "NUFFTOperator"]
