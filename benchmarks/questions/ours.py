"""deqlab's solvers and gradient rules behind the calls of `libraries`."""

import math
from dataclasses import replace

from deqlab import equilibrium as rules
from deqlab import solvers
from questions.methods import Backward, Forward

FORWARD_BUDGET = 100


def forwards(memory: int) -> list[Forward]:
    """Every solver of `deqlab.solvers`; Anderson with `memory`, the quasi-Newton ones with what
    they have by default.
    """

    def method(solver, **how) -> Forward:
        def solve(f, x0, tolerance, budget):
            return solvers.solve(f, x0, solver, tolerance, budget, proof=False).value

        return Forward("deqlab", _name(solver), solve, **how)

    return [
        method(solvers.Picard()),
        method(solvers.Anderson(memory=memory), remembers=True),
        method(solvers.Broyden()),
        method(solvers.AdjointBroyden()),
        method(solvers.LBFGS(), symmetric=True),
    ]


def backwards(tolerance: float, budget: int) -> list[Backward]:
    """Every rule of `deqlab.equilibrium`, after a forward solve by Anderson unless the rule reads
    another solver's state.
    """
    anderson, broyden, adjoint = solvers.Anderson(), solvers.Broyden(), solvers.AdjointBroyden()
    implicit = rules.ImplicitGradient(anderson, tolerance, budget)

    def method(
        name, rule, solver=anderson, forward=None, recomputes=False, aware=False
    ) -> Backward:
        def attach(f, x0, forward_tolerance, outer):
            chosen = replace(solver, opa=solvers.OPA(outer)) if aware else solver
            return rules.equilibrium(
                f, x0, chosen, rule, forward or forward_tolerance, FORWARD_BUDGET
            ).value

        return Backward("deqlab", name, attach, solver is anderson and forward is None, recomputes)

    return [
        method(f"ImplicitGradient, {tolerance:g}", implicit),
        method(f"ImplicitGradient, {tolerance:g}, after forward to 1e-3", implicit, forward=1e-3),
        method("ImplicitGradient(Broyden)", rules.ImplicitGradient(broyden, tolerance, budget)),
        method("ImplicitGradient, 1e-6", rules.ImplicitGradient(anderson, 1e-6, budget)),
        method("JacobianFree", rules.JacobianFree()),
        method("NeumannSeries(5)", rules.NeumannSeries(5)),
        method("Phantom(5, 0.5)", rules.Phantom(5, 0.5)),
        method("SHINE, Broyden", rules.SHINE(), broyden),
        method("SHINE, Broyden, no fallback", rules.SHINE(fallback=math.inf), broyden),
        method("SHINE(refine=5), Broyden", rules.SHINE(refine=5), broyden),
        method("SHINE, AdjointBroyden", rules.SHINE(), adjoint),
        method("SHINE, AdjointBroyden, no fallback", rules.SHINE(fallback=math.inf), adjoint),
        method(
            "SHINE, AdjointBroyden + OPA, no fallback",
            rules.SHINE(fallback=math.inf),
            adjoint,
            aware=True,
        ),
        method("Unrolled(5)", rules.Unrolled(5)),
        method("Unrolled(5, checkpoint='sqrt')", rules.Unrolled(5, "sqrt"), recomputes=True),
        method("Invertible(10)", rules.Invertible(10), recomputes=True),
    ]


def _name(solver) -> str:
    memory = getattr(solver, "memory", None)
    return type(solver).__name__ + (f"({memory})" if memory else "")
