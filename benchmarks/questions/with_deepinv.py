"""deepinv behind the calls of `libraries`: its optimisation loop around an iterator that is one
evaluation of f.

J. Tachella et al., DeepInverse: a Python package for solving imaging inverse problems with deep
learning, JOSS 2025.
"""

from questions.methods import Backward, Forward
from questions.watch import as_complex, as_real

# Its Anderson's default, the absolute one of the tutorial from which both peers start.
REGULARIZATION = 1e-4


def forwards(memory: int) -> list[Forward]:
    """Plain iteration and its Anderson, undamped; `early_stop` is on, without which its threshold
    would have no effect.
    """
    from deepinv.optim import AndersonAccelerationConfig

    anderson = AndersonAccelerationConfig(history_size=memory + 1, beta=1.0, eps=REGULARIZATION)

    def solver(acceleration):
        def solve(f, x0, tolerance, budget):
            real_f, real_x0 = as_real(f, x0)
            model = _model(real_f, budget, tolerance, anderson_acceleration=acceleration)
            return as_complex(model(real_x0, None, init=real_x0), x0)

        return solve

    return [
        Forward("deepinv", "fixed point", solver(None)),
        Forward("deepinv", f"anderson, history={memory + 1}", solver(anderson), remembers=True),
    ]


def backwards(tolerance: float, budget: int) -> list[Backward]:
    """Its implicit gradient, plain and accelerated, and its Jacobian-free one. Its one threshold
    serves forward and backward.
    """
    from deepinv.optim import AndersonAccelerationConfig, DEQConfig

    def rule(**options):
        def attach(f, x0, forward_tolerance, outer):
            real_f, real_x0 = as_real(f, x0)
            anderson = AndersonAccelerationConfig(history_size=6, beta=1.0, eps=REGULARIZATION)
            config = DEQConfig(
                max_iter_backward=budget,
                history_size_backward=6,
                eps_backward=REGULARIZATION,
                **options,
            )
            model = _model(real_f, 100, tolerance, anderson_acceleration=anderson, DEQ=config)
            return as_complex(model(real_x0, None, init=real_x0), x0)

        return attach

    return [
        Backward("deepinv", f"DEQ, {tolerance:g}", rule()),
        Backward(
            "deepinv", f"DEQ anderson, {tolerance:g}", rule(anderson_acceleration_backward=True)
        ),
        Backward("deepinv", "DEQ jacobian_free", rule(jacobian_free=True)),
    ]


def _model(f, budget: int, tolerance: float, **options):
    from deepinv.optim import BaseOptim
    from deepinv.optim.optim_iterators import OptimIterator

    class OneEvaluation(OptimIterator):
        def forward(self, X, *args, **kwargs):
            return {"est": (f(X["est"][0]),), "cost": None}

    # It fills in parameters that f has no use for; none of them is trained.
    unused = {"stepsize": 1.0, "lambda": 1.0, "g_param": 1.0}
    return BaseOptim(
        OneEvaluation(),
        unused,
        max_iter=budget,
        early_stop=True,
        thres_conv=tolerance,
        trainable_params=[],
        **options,
    )
