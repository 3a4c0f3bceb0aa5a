"""Fixed points x = f(x) and linear systems, solved per sample. Nothing here knows of MRI."""

from deqlab.solvers.adjoint_broyden import AdjointBroyden
from deqlab.solvers.anderson import Anderson
from deqlab.solvers.broyden import Broyden
from deqlab.solvers.conjugate_gradient import conjugate_gradient
from deqlab.solvers.criterion import AbsoluteResidual, RelativeResidual
from deqlab.solvers.lbfgs import LBFGS
from deqlab.solvers.line_search import Backtracking
from deqlab.solvers.loop import solve
from deqlab.solvers.low_rank import LowRankInverse
from deqlab.solvers.opa import OPA
from deqlab.solvers.picard import Picard
from deqlab.solvers.proximal_gradient import FISTA, lipschitz_estimate, proximal_gradient
from deqlab.solvers.solution import Solution

__all__ = [
    "FISTA",
    "LBFGS",
    "OPA",
    "AbsoluteResidual",
    "AdjointBroyden",
    "Anderson",
    "Backtracking",
    "Broyden",
    "LowRankInverse",
    "Picard",
    "RelativeResidual",
    "Solution",
    "conjugate_gradient",
    "lipschitz_estimate",
    "proximal_gradient",
    "solve",
]
