"""The implicit function theorem as one plain function.

At a fixed point x = f(x, w), differentiation of both sides gives dx = (I - J)^-1 (df/dw) dw with J = df/dx. A loss with cotangent g = dL/dx
therefore has dL/dw = (df/dw)^T u, where u solves u = J^T u + g: again a fixed point, linear this time, and it needs products with J^T only.
"""

from collections.abc import Callable

from torch import Tensor

from deqlab.solvers import Anderson, Solution, solve


def adjoint_fixed_point(
    transpose: Callable[[Tensor], Tensor], cotangent: Tensor, solver=Anderson(), tolerance: float = 1e-3, max_evaluations: int = 50
) -> Solution:
    """u = J^T u + g per sample, to the relative residual `tolerance`: independent of the scale of the loss.

    transpose: u -> J^T u, the vector-Jacobian product of f at the fixed point, for tensors like `cotangent`.
    cotangent: g = dL/dx, real or complex (batch, ...).
    The samples of a batch are coupled by nothing, so J is block diagonal and every sample converges for itself.
    Source: S. Bai, J. Z. Kolter and V. Koltun, Deep equilibrium models, NeurIPS 2019, theorem 1.
    """
    return solve(lambda u: transpose(u) + cotangent, cotangent, solver, tolerance, max_evaluations)
