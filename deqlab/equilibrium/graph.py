"""One graph of f at the fixed point, and a backward pass that changes the cotangent before it
enters that graph.

Every gradient of an equilibrium but the unrolled ones has the form dL/dw ~ (df/dw)^T u: f is
evaluated once with grad, and u is made from the incoming g = dL/dx by products with J^T, J = df/dx.
Both, the products and the last pullback to w, use the very same graph.
The rules see flat real tensors (batch, n), in which complex numbers are pairs and a tuple state is
one vector: J is a real matrix there.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.solvers.flat import State, StateT, flatten, formed_like, parts, unflatten
from deqlab.solvers.protocol import StateMap

Transpose = Callable[[Tensor], Tensor]
Adjoint = Callable[[Transpose, Tensor], Tensor]


def detached(state: StateT) -> StateT:
    """The same values, cut off from every graph."""
    return formed_like(tuple(part.detach() for part in parts(state)), state)


def attach(f: StateMap[StateT], value: StateT, adjoint: Adjoint) -> StateT:
    """f(value), whose backward pulls u = adjoint(J^T, g) instead of g back to what f depends on;
    constant in `value` itself.

    adjoint: called with u -> J^T u and with g, real (batch, n). Each product costs one backward
    pass through the saved graph of f.
    Without grad it is f(value) and no more. The graph of f is checked (`check_graph`); in the
    backward pass create_graph=True is an InputError.
    """
    if not torch.is_grad_enabled():
        return f(value)
    points = _Boundary.apply(*(part.detach().requires_grad_() for part in parts(value)))
    output = f(formed_like(points, value))
    check_graph(output, points)
    return formed_like(_Adjoint.apply(adjoint, points, *parts(output)), output)


def first_order(output: StateT) -> StateT:
    """The same value and gradient; a second derivative is refused."""
    if not (torch.is_grad_enabled() and any(part.requires_grad for part in parts(output))):
        return output
    return formed_like(_Adjoint.apply(lambda transpose, g: g, (), *parts(output)), output)


def check_graph(output: State, points: tuple[Tensor, ...]) -> None:
    """InputError where the output of f carries no graph; a DeqlabWarning where it has one that does
    not lead to `points`, the argument.

    Then every product with the Jacobian is zero: right for a map that ignores its argument, wrong
    for one that detaches it.
    """
    if not any(part.requires_grad for part in parts(output)):
        raise InputError(
            "f: its output carries no graph although its argument does; take detach, no_grad and"
            " numpy out of f"
        )
    if not _reaches(output, points):
        warnings.warn(
            "f: its output carries a graph, but none of its argument, so its Jacobian counts as"
            " zero; unless f ignores its argument, take detach, no_grad and numpy out of f",
            DeqlabWarning,
            stacklevel=3,
        )


def _reaches(output: State, points: tuple[Tensor, ...]) -> bool:
    """Whether the graph of `output` leads to one of `points`. Parameters alone make a graph, too,
    but not this one.
    """
    sought = {get_gradient_edge(point).node for point in points}
    waiting = [get_gradient_edge(part).node for part in parts(output) if part.requires_grad]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node in sought:
            return True
        fresh = {following for following, _ in node.next_functions if following is not None} - seen
        seen |= fresh
        waiting.extend(fresh)
    return False


class _Boundary(torch.autograd.Function):
    """The point at which f is differentiated; the outer backward ends here."""

    @staticmethod
    def forward(ctx: Any, *points: Tensor) -> tuple[Tensor, ...]:
        return tuple(point.view_as(point) for point in points)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        return (None,) * len(gradients)


class _Adjoint(torch.autograd.Function):
    """Identity forward; backward turns g into u and hands it to the very graph of f that it used
    for J^T.
    """

    @staticmethod
    def forward(
        ctx: Any, adjoint: Adjoint, points: tuple[Tensor, ...], *outputs: Tensor
    ) -> tuple[Tensor, ...]:
        # The graph is reached through `outputs` themselves: a second evaluation of f for the
        # backward would double the memory.
        ctx.adjoint, ctx.points, ctx.outputs = adjoint, points, outputs
        return tuple(output.view_as(output) for output in outputs)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        # The engine runs a backward with grad enabled exactly where create_graph=True.
        if torch.is_grad_enabled():
            raise InputError(
                "create_graph: True given, but a gradient through an equilibrium cannot be"
                " differentiated again; False needed, or the rule Unrolled, whose graph is an"
                " ordinary one"
            )
        recorded = [i for i, output in enumerate(ctx.outputs) if output.requires_grad]
        outputs = [ctx.outputs[i] for i in recorded]

        def transpose(u: Tensor) -> Tensor:
            cotangent = parts(unflatten(u, ctx.outputs))
            pieces = [cotangent[i] for i in recorded]
            return flatten(
                torch.autograd.grad(
                    outputs, ctx.points, pieces, retain_graph=True, materialize_grads=True
                )
            )

        u = ctx.adjoint(transpose, flatten(cotangents))
        return None, None, *parts(unflatten(u, ctx.outputs))
