"""Objectives by the name that a method gives as its `trained_by`, one line each."""

from deqlab.core.registry import Registry
from deqlab.training.objectives.denoising import Denoising
from deqlab.training.objectives.equilibrium_error import EquilibriumError
from deqlab.training.objectives.piecewise import Piecewise
from deqlab.training.objectives.protocol import Objective
from deqlab.training.objectives.supervised import EveryStep, Supervised

OBJECTIVES: Registry[Objective] = Registry(
    "objective",
    {
        "denoising": Denoising,
        "equilibrium": EquilibriumError,
        "supervised": Supervised,
        "every-step": EveryStep,
        "piecewise": Piecewise,
    },
)
