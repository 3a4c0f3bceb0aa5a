"""Gradient rules by name, one line each."""

from deqlab.core.registry import Registry
from deqlab.equilibrium.implicit import ImplicitGradient
from deqlab.equilibrium.invertible import Invertible
from deqlab.equilibrium.jacobian_free import JacobianFree
from deqlab.equilibrium.neumann import NeumannSeries, Phantom
from deqlab.equilibrium.protocol import GradientRule
from deqlab.equilibrium.shine import SHINE
from deqlab.equilibrium.unrolled import Unrolled

GRADIENTS: Registry[GradientRule] = Registry(
    "gradient",
    {
        "implicit": ImplicitGradient,
        "jacobian-free": JacobianFree,
        "shine": SHINE,
        "neumann": NeumannSeries,
        "phantom": Phantom,
        "unrolled": Unrolled,
        "invertible": Invertible,
    },
)
