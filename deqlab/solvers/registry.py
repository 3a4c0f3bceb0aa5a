"""Solvers of fixed points by name, one line each."""

from deqlab.core.registry import Registry
from deqlab.solvers.adjoint_broyden import AdjointBroyden
from deqlab.solvers.anderson import Anderson
from deqlab.solvers.broyden import Broyden
from deqlab.solvers.lbfgs import LBFGS
from deqlab.solvers.picard import Picard
from deqlab.solvers.protocol import AnySolver
from deqlab.solvers.proximal_gradient import FISTA

SOLVERS: Registry[AnySolver] = Registry(
    "solver",
    {
        "picard": Picard,
        "anderson": Anderson,
        "broyden": Broyden,
        "adjoint-broyden": AdjointBroyden,
        "lbfgs": LBFGS,
        "fista": FISTA,
    },
)
