"""Total variation: images of few edges, by a primal-dual iteration that is a fixed-point iteration too.

K. T. Block, M. Uecker and J. Frahm, Undersampled radial MRI with multiple coils, MRM 57 (2007), for the problem; L. Condat, A
primal-dual splitting method for convex optimization, JOTA 158 (2013), algorithm 3.1, for the iteration.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deqlab.operators import LinearOperator
from deqlab.recon.step_size import squared_norm
from deqlab.recon.wavelet import checked_weight
from deqlab.signal.finite_differences import SQUARED_NORM, differences, differences_adjoint, lengths, total_variation
from deqlab.solvers import Anderson, Solution, solve

Pair = tuple[Tensor, Tensor]
# The dual step in units of ||A||^2. Measured on a brain of four coils at 4x and 8x: 1/256 to 1/8 reach one objective within 1 % in 200
# evaluations, 1/2 is several times slower.
DUAL_STEP = 1 / 32


@dataclass
class PrimalDualMap:
    """f(x, v): x+ = x - t (A^H (A x - y) + s D^H v), v+ = clip(v + D (2 x+ - x)) to |v| <= lambda / s at each pixel.

    x: image (batch, y, x). v: the dual variable over s, (batch, 2, y, x), in the units of D x, so that the two weigh alike in a residual.
    projection: A^H y. primal: t; dual: s; limit: lambda / s; real (batch, 1, 1). Averaged for 1 / t - 8 s >= ||A||^2 / 2, so Picard converges.
    """

    projection: Tensor
    A: LinearOperator
    primal: Tensor
    dual: Tensor
    limit: Tensor

    def __call__(self, state: Pair) -> Pair:
        x, v = state
        slope = torch.addcmul(self.A.normal(x) - self.projection, self.dual, differences_adjoint(v))
        new = torch.addcmul(x, self.primal, slope, value=-1)
        v = v + differences(2 * new - x)
        # A limit of zero is a penalty of zero: everything is clipped away.
        factor = self.limit / lengths(v).maximum(self.limit).clamp_min(torch.finfo(self.limit.dtype).tiny)
        return new, v * factor.unsqueeze(-3)

    def select(self, index: Tensor) -> "PrimalDualMap":
        """The map of the batch members in `index`."""
        parts = {name: getattr(self, name)[index] for name in ("projection", "primal", "dual", "limit")}
        return replace(self, A=self.A.select(index), **parts)

    def state(self, image: Tensor) -> Pair:
        """The pair with the dual variable zero: a start."""
        return image, torch.zeros_like(differences(image))

    def image(self, state: Pair) -> Tensor:
        """The image in a state."""
        return state[0]


class TotalVariation(nn.Module):
    """argmin 1/2 ||A x - y||^2 + lambda TV(x) with lambda = weight max |A^H y| and TV isotropic over real and imaginary part.

    weight: tuned on validation data, 1e-4 to 1e-2 as a rule. tolerance: on the relative residual of the pair (x, v) of `PrimalDualMap`.
    solver: of the fixed point; Picard() is the plain, provably convergent iteration. InputError for a negative weight.
    """

    def __init__(self, weight: float = 1e-3, tolerance: float = 1e-4, max_iterations: int = 300, solver=Anderson(memory=5)):
        super().__init__()
        self.weight, self.tolerance, self.max_iterations, self.solver = checked_weight(weight), tolerance, max_iterations, solver

    def penalty(self, projection: Tensor) -> Tensor:
        """lambda for measurements with A^H y = `projection`, real (batch, 1, 1)."""
        return self.weight * projection.abs().amax((-2, -1), keepdim=True)

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> PrimalDualMap:
        """f for these measurements, a function of the pair (x, v)."""
        projection = A.H(kspace)
        norm = squared_norm(A, projection)
        dual = DUAL_STEP * norm
        return PrimalDualMap(projection, A, 1 / (norm / 2 + SQUARED_NORM * dual), dual, self.penalty(projection) / dual)

    @torch.no_grad()
    def solve(self, kspace: Tensor, A: LinearOperator, x0: Tensor | None = None, callback=None) -> Solution:
        """The Solution from `x0` (the zero-filled image where None); its value is the image, its residual that of the pair."""
        f = self.fixed_point_map(kspace, A)
        solution = solve(f, f.state(f.projection if x0 is None else x0), self.solver, self.tolerance, self.max_iterations, callback)
        return replace(solution, value=f.image(solution.value))

    @torch.no_grad()
    def objective(self, image: Tensor, kspace: Tensor, A: LinearOperator) -> Tensor:
        """1/2 ||A x - y||^2 + lambda TV(x), real (batch,)."""
        penalty = self.penalty(A.H(kspace)).flatten() * total_variation(image)
        return (A(image) - kspace).abs().square().sum((-3, -2, -1)) / 2 + penalty

    def forward(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """Image, complex (batch, y, x), from k-space (batch, coil, y, x)."""
        return self.solve(kspace, A).value
