"""Gradient rules: what the backward pass of an equilibrium does. A rule is an object that is called at the fixed point."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from deqlab.equilibrium.implicit import adjoint_fixed_point
from deqlab.solvers import Anderson


@dataclass(frozen=True)
class JacobianFree:
    """dL/dw ~ (df/dw)^T g: the exact gradient with (I - J)^-1 replaced by I, the first term of its Neumann series.

    Exact where J = 0, a descent direction where f contracts enough. Source: S. W. Fung et al., JFB: Jacobian-free backpropagation for
    implicit networks, AAAI 2022.
    """

    def __call__(self, f: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
        """f(value), differentiable in the parameters of f and not in `value`."""
        return f(value.detach())


@dataclass(frozen=True)
class ImplicitGradient:
    """dL/dw = (df/dw)^T u with u = J^T u + g, solved to `tolerance`: exact up to that tolerance and the forward one.

    solver, tolerance, max_evaluations: of the backward solve; one evaluation is one vector-Jacobian product.
    Keeps one graph of one evaluation of f, whatever the forward solve took.
    """

    solver: object = field(default_factory=Anderson)
    tolerance: float = 1e-3
    max_evaluations: int = 30

    def __call__(self, f: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
        """f(value), whose backward solves the adjoint fixed point before it reaches the parameters of f."""
        if not torch.is_grad_enabled():
            return f(value)
        point = _Boundary.apply(value.detach().requires_grad_())
        return _Adjoint.apply(f(point), point, self)


class _Boundary(torch.autograd.Function):
    """The point at which f is differentiated; the outer backward ends here."""

    @staticmethod
    def forward(ctx, point):
        return point.view_as(point)

    @staticmethod
    def backward(ctx, gradient):
        return None


class _Adjoint(torch.autograd.Function):
    """Identity forward; backward turns g into u and hands it to the very graph of f that it used for J^T."""

    @staticmethod
    def forward(ctx, output, point, rule):
        # The graph is reached through `output` itself: a second evaluation of f for the backward would double the memory.
        ctx.output, ctx.point, ctx.rule = output, point, rule
        return output.view_as(output)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, cotangent):
        def transpose(u: Tensor) -> Tensor:
            return torch.autograd.grad(ctx.output, ctx.point, u, retain_graph=True, materialize_grads=True)[0]

        rule = ctx.rule
        adjoint = adjoint_fixed_point(transpose, cotangent, rule.solver, rule.tolerance, rule.max_evaluations)
        return adjoint.value, None, None
