"""torchdeq behind the calls of `libraries`: its solvers as they are exported, its gradients through
`get_deq`.

Z. Geng and J. Z. Kolter, TorchDEQ: a library for deep equilibrium models, arXiv:2310.18605.
"""

from functools import partial

from questions.methods import Backward, Forward
from questions.watch import as_complex, as_real


def forwards(memory: int) -> list[Forward]:
    """Its three solvers, stopping by the relative residual; `memory` differences are memory + 1
    points to its Anderson.
    """
    from torchdeq.solver import get_solver

    def solver(key, spare, **options):
        def solve(f, x0, tolerance, budget):
            real_f, real_x0 = as_real(f, x0)
            value, _, _ = get_solver(key)(
                real_f, real_x0, max_iter=budget - spare, tol=tolerance, stop_mode="rel", **options
            )
            return as_complex(value, x0)

        return solve

    # Broyden evaluates once before it counts.
    return [
        Forward("torchdeq", "fixed_point_iter", solver("fixed_point_iter", 0)),
        Forward(
            "torchdeq",
            f"anderson, m={memory + 1}",
            solver("anderson", 0, m=memory + 1),
            remembers=True,
        ),
        Forward("torchdeq", "broyden", solver("broyden", 1)),
    ]


def backwards(tolerance: float, budget: int) -> list[Backward]:
    """Implicit differentiation by its solvers and in its default setting, the version with a hook,
    and its phantom gradient.
    """
    from torchdeq import get_deq

    def rule(**options):
        def attach(f, x0, forward_tolerance, outer):
            real_f, real_x0 = as_real(f, x0)
            deq = get_deq(
                core="indexing",
                f_solver="anderson",
                f_max_iter=100,
                f_tol=forward_tolerance,
                f_stop_mode="rel",
                **options,
            )
            value, _ = deq(real_f, real_x0)
            return as_complex(value[-1], x0)

        return attach

    exact = partial(rule, ift=True, b_max_iter=budget, b_tol=tolerance, b_stop_mode="rel")
    asked = f"rel {tolerance:g}"
    return [
        Backward("torchdeq", f"ift anderson, {asked}", exact(b_solver="anderson")),
        Backward("torchdeq", f"ift broyden, {asked}", exact(b_solver="broyden")),
        Backward(
            "torchdeq", f"hook_ift broyden, {asked}", exact(hook_ift=True, b_solver="broyden")
        ),
        Backward("torchdeq", "ift by default (fixed_point_iter, abs 1e-6)", rule(ift=True)),
        Backward("torchdeq", "grad=1", rule(grad=1)),
        Backward("torchdeq", "grad=5, tau=0.5", rule(grad=5, tau=0.5)),
    ]
