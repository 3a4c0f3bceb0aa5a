"""Density compensation as a choice: how much each sample counts in the adjoint."""

from abc import ABC, abstractmethod

from torch import Tensor

from deqlab.core.options import Count, option, options
from deqlab.core.registry import Registry
from deqlab.operators import LinearOperator, OffResonance
from deqlab.operators.gridding import OffGrid, compensation, every_sample_alike, unit_gain, weighted
from deqlab.operators.noncartesian import NonCartesianOperator


class Density(ABC):
    """A rule of weights."""

    @abstractmethod
    def weights(self, A: OffGrid) -> Tensor:
        """By what the samples of A are weighed, beyond its own weights: real (batch | 1,
        samples).
        """


@options
class PipeMenon(Density):
    """The weights of Pipe and Menon, d <- d / |F F^H d|; an operator that has weights of its own,
    as those of samples from files do, keeps them, which saves the time.
    """

    iterations: Count = option(10, "of the rule")

    def weights(self, A: OffGrid) -> Tensor:
        """D."""
        return compensation(A, self.iterations)


@options
class NoDensity(Density):
    """Every sample counts alike, whatever weights the operator has: the plain adjoint."""

    def weights(self, A: OffGrid) -> Tensor:
        """What takes the operator's own weights away."""
        return every_sample_alike(A)


DENSITIES: Registry[Density] = Registry("density", {"pipe": PipeMenon, "none": NoDensity})


def compensated(
    kspace: Tensor, A: LinearOperator, density: Density
) -> tuple[Tensor, LinearOperator]:
    """(D^(1/2) y, D^(1/2) A), so that A^H D (A x - y) is what A^H (A x - y) was; D are the weights
    of `density` times one number a batch member, with which the mean of |A^H D A 1| is 1.

    kspace: complex (batch, coil, samples). On the grid both stay as they are.
    """
    inner = A.fourier if isinstance(A, OffResonance) else A
    if not isinstance(inner, NonCartesianOperator):
        return kspace, A
    assert isinstance(A, OffGrid), "as is what is inside of it"
    D = density.weights(A)
    D = D * unit_gain(weighted(A, D), kspace)
    return kspace * D.sqrt().to(kspace.real.dtype).unsqueeze(1), weighted(A, D)
