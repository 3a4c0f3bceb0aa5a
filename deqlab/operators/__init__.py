"""Linear measurement operators A: y = A(x), A.H(y), A.normal(x), A @ B, A.norm(...)."""

from deqlab.operators.cartesian import CartesianOperator
from deqlab.operators.linear import LinearOperator
from deqlab.operators.ndft import NDFTOperator
from deqlab.operators.nufft import NUFFTOperator
from deqlab.operators.off_resonance import ExactOffResonance, OffResonance

__all__ = [
    "CartesianOperator",
    "ExactOffResonance",
    "LinearOperator",
    "NDFTOperator",
    "NUFFTOperator",
    "OffResonance",
]
