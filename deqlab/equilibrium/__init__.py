"""Gradients of a fixed point, by the implicit function theorem and its cheaper relatives."""

from deqlab.equilibrium.gradients import ImplicitGradient, JacobianFree
from deqlab.equilibrium.implicit import adjoint_fixed_point
from deqlab.equilibrium.layer import EquilibriumLayer, equilibrium

__all__ = ["EquilibriumLayer", "ImplicitGradient", "JacobianFree", "adjoint_fixed_point", "equilibrium"]
