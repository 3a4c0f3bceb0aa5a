"""What a gradient rule must offer to `equilibrium`. Nothing has to inherit from it: whatever has
the method is one.
"""

from typing import Protocol, runtime_checkable

from deqlab.solvers import Solution
from deqlab.solvers.flat import State, StateT
from deqlab.solvers.protocol import StateMap


class GradientRule(Protocol):
    """How a loss at a fixed point x* reaches what f depends on: a frozen dataclass of its
    options.
    """

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """A value like `solution.value`, x* or what further evaluations of f make of it, that is
        differentiable in what f depends on and constant in x*.

        Called with grad as the caller has it; f is the map of the whole batch. What the rule needs
        of the solve, as an inverse, it takes from `solution`; InputError where that is missing.
        """
        ...


@runtime_checkable
class DemandingRule(GradientRule, Protocol):
    """A rule that cannot serve every state, and says so before anything is solved."""

    def check(self, x0: State) -> None:
        """InputError where no backward pass could follow a solve from `x0`; the message names the
        rule.
        """
        ...
