"""Gradients of a fixed point, by the implicit function theorem and its cheaper relatives."""

from deqlab.equilibrium.implicit import ImplicitGradient, adjoint_fixed_point
from deqlab.equilibrium.invertible import Invertible, momentum_unrolled
from deqlab.equilibrium.jacobian import jacobian_penalty, power_iteration
from deqlab.equilibrium.jacobian_free import JacobianFree
from deqlab.equilibrium.layer import EquilibriumLayer, equilibrium
from deqlab.equilibrium.neumann import NeumannSeries, Phantom, neumann_series, phantom_series
from deqlab.equilibrium.shine import SHINE, shared_inverse
from deqlab.equilibrium.unrolled import Unrolled, unrolled

__all__ = [
    "SHINE",
    "EquilibriumLayer",
    "ImplicitGradient",
    "Invertible",
    "JacobianFree",
    "NeumannSeries",
    "Phantom",
    "Unrolled",
    "adjoint_fixed_point",
    "equilibrium",
    "jacobian_penalty",
    "momentum_unrolled",
    "neumann_series",
    "phantom_series",
    "power_iteration",
    "shared_inverse",
    "unrolled",
]
