"""What a training step minimises."""

from deqlab.training.objectives.denoising import Denoising
from deqlab.training.objectives.equilibrium_error import EquilibriumError
from deqlab.training.objectives.piecewise import Piecewise
from deqlab.training.objectives.protocol import Objective, Step
from deqlab.training.objectives.registry import OBJECTIVES
from deqlab.training.objectives.supervised import Supervised

__all__ = [
    "OBJECTIVES",
    "Denoising",
    "EquilibriumError",
    "Objective",
    "Piecewise",
    "Step",
    "Supervised",
]
