"""The cheapest gradient: differentiate one evaluation of f and forget that its argument depends on
the parameters too.
"""

from dataclasses import dataclass

from deqlab.equilibrium.graph import detached, first_order
from deqlab.solvers import Solution
from deqlab.solvers.flat import StateT
from deqlab.solvers.protocol import StateMap


@dataclass(frozen=True)
class JacobianFree:
    """dL/dw ~ (df/dw)^T g: the exact gradient with (I - J)^-1 replaced by I, the first term of its
    Neumann series.

    Exact where J = 0, a descent direction where f contracts enough. Source: S. W. Fung et al., JFB:
    Jacobian-free backpropagation for implicit networks, AAAI 2022.
    """

    def attach(self, f: StateMap[StateT], solution: Solution[StateT]) -> StateT:
        """f(x*), differentiable in the parameters of f and not in x*."""
        return first_order(f(detached(solution.value)))
