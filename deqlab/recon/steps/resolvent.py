"""(I + s A^H A)^-1, the data step of ADMM and of monotone operator learning, differentiable in what
it is applied to, in s, and in coil maps that are learned.

It is the proximal operator of s/2 ||A x - y||^2 up to the measurements: prox(v) = (I + s A^H A)^-1
(v + s A^H y).
"""

import warnings
from typing import Any

import torch
from torch import Tensor

from deqlab.core.errors import DeqlabWarning
from deqlab.operators import LinearOperator
from deqlab.solvers import conjugate_gradient

MAX_ITERATIONS = 200


def resolvent(A: LinearOperator, image: Tensor, step: Tensor | float) -> Tensor:
    """(I + step A^H A)^-1 image, to nearly the precision of `image`, so that a map made of it is
    one function and not a family.

    image: complex (batch, y, x). step: s > 0, a number or a scalar tensor. Both may require grad,
    and the result may be differentiated twice.
    One Cartesian coil: A^H A is a projection, hence I - s / (1 + s) A^H A. Else conjugate
    gradients, again in the backward pass. A DeqlabWarning says where those did not converge.
    """
    if A.is_projection:
        return image - step / (1 + step) * A.normal(image)
    step = torch.as_tensor(step, dtype=image.real.dtype, device=image.device)
    if not A.maps_are_learned:
        return _Resolvent.apply(image, step, A)
    # With x = M^-1 b known, x + M^-1 (b - M x) is x again, and its derivative is M^-1 (db - dM x).
    with torch.no_grad():
        x = _solve(A, image, step)
    return x + _Resolvent.apply(image - x - step * A.normal(x), step, A)


class _Resolvent(torch.autograd.Function):
    """x = M^-1 b with M = I + s A^H A. M is self-adjoint, so with t = M^-1 g: dL/db = t and dL/ds =
    -Re<t, A^H A x>.
    """

    @staticmethod
    def forward(ctx: Any, right: Tensor, step: Tensor, A: LinearOperator) -> Tensor:
        x = _solve(A, right, step)
        ctx.save_for_backward(x, step)
        ctx.A = A
        return x

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, step = ctx.saved_tensors
        t = _Resolvent.apply(cotangent, step, ctx.A)
        slope = -(t.conj() * ctx.A.normal(x)).real.sum() if ctx.needs_input_grad[1] else None
        return t, slope, None


def _solve(A: LinearOperator, right: Tensor, step: Tensor) -> Tensor:
    tolerance = torch.finfo(right.dtype).eps ** 0.8
    solution = conjugate_gradient(
        lambda x: x + step * A.normal(x), right, tolerance=tolerance, max_iterations=MAX_ITERATIONS
    )
    if "budget" in solution.reason:
        warnings.warn(
            f"(I + s A^H A)^-1 with s = {float(step):.3g}: conjugate gradients stopped after"
            f" {MAX_ITERATIONS} iterations at the relative residual"
            f" {float(solution.residual.max()):.1e}; a smaller step is better conditioned",
            DeqlabWarning,
            stacklevel=3,
        )
    return solution.value
