"""The laws that every measurement operator obeys, stated once.

A subclass writes `_forward` and `_adjoint` (and `_normal` where a fast path exists). The base class
makes them differentiable: the backward of A is A^H and the backward of A^H is A, so no graph is
kept and no interpolation is differentiated.
"""

import torch
from torch import Tensor, nn


class LinearOperator(nn.Module):
    """A linear map A from images to measurements with its adjoint under the inner product Re<a,
    b>.
    """

    def _forward(self, image: Tensor) -> Tensor:
        raise NotImplementedError

    def _adjoint(self, kspace: Tensor) -> Tensor:
        raise NotImplementedError

    def _normal(self, image: Tensor) -> Tensor:
        return self._adjoint(self._forward(image))

    def forward(self, image: Tensor) -> Tensor:
        """A x."""
        return _Linear.apply(image, self._forward, self._adjoint)

    def H(self, kspace: Tensor) -> Tensor:
        """A^H y."""
        return _Linear.apply(kspace, self._adjoint, self._forward)

    def normal(self, image: Tensor) -> Tensor:
        """A^H A x, by the operator's fast path where it has one."""
        return _Linear.apply(image, self._normal, self._normal)

    @property
    def is_projection(self) -> bool:
        """Whether A^H A is known to be an orthogonal projection."""
        return False

    def __matmul__(self, inner: "LinearOperator") -> "LinearOperator":
        """The composition: (A @ B)(x) = A(B(x))."""
        return Composition(self, inner)

    def norm(self, like: Tensor, iterations: int = 50) -> Tensor:
        """Largest singular value of A, per sample, by power iteration on A^H A from a fixed random
        start.

        `like`: an image of the operator's domain, (batch, y, x); gives shape, precision and device.
        A lower bound that tightens with `iterations`. Returns a real tensor (batch,).
        """
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(*like.shape, 2, generator=generator, dtype=torch.float64)
        image = torch.view_as_complex(start).to(like)
        axes = tuple(range(1, like.ndim))
        with torch.no_grad():
            for _ in range(iterations):
                length = torch.linalg.vector_norm(image, dim=axes, keepdim=True)
                image = self._normal(image / length.clamp_min(torch.finfo(length.dtype).tiny))
            return torch.linalg.vector_norm(image, dim=axes).sqrt()


class Composition(LinearOperator):
    """A @ B: first B, then A."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator):
        super().__init__()
        self.outer, self.inner = outer, inner

    def _forward(self, image: Tensor) -> Tensor:
        return self.outer._forward(self.inner._forward(image))

    def _adjoint(self, kspace: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._adjoint(kspace))

    def _normal(self, image: Tensor) -> Tensor:
        return self.inner._adjoint(self.outer._normal(self.inner._forward(image)))


class _Linear(torch.autograd.Function):
    """Apply `forward` and differentiate by `adjoint`. Differentiable again: the backward is itself
    such a map.
    """

    @staticmethod
    def forward(ctx, x, forward, adjoint):
        ctx.maps = forward, adjoint
        return forward(x)

    @staticmethod
    def backward(ctx, gradient):
        forward, adjoint = ctx.maps
        return _Linear.apply(gradient, adjoint, forward), None, None
