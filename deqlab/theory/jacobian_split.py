"""What a map's Jacobian does in the range and in the null space of A: the measured counterpart of
`deqlab.theory.contraction`.

The measurements speak in the range of A^H; in the null space of A the denoiser is alone. A bound of
1 or more says nothing there, so it is measured. J is split into four blocks by the orthogonal
projections P = A^+ A and I - P.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deqlab.equilibrium.measure import spectral_norm, spectral_radius
from deqlab.operators import LinearOperator
from deqlab.theory.subspaces import range_projection


@dataclass(frozen=True)
class JacobianSplit:
    """Norms and radii of the blocks of J, real (batch,), from below; a field a_to_b is ||P_b J
    P_a||, and `null` means I - A^+ A.

    norm, radius: of J itself. radius_range, radius_null: of P J P and of (I - P) J (I - P);
    `radius` is the larger of the two where a block off the diagonal vanishes, and may exceed both
    elsewhere.
    """

    norm: Tensor
    radius: Tensor
    range_to_range: Tensor
    null_to_range: Tensor
    range_to_null: Tensor
    null_to_null: Tensor
    radius_range: Tensor
    radius_null: Tensor


def split_jacobian(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    A: LinearOperator,
    iterations: int = 50,
    threshold: float = 1e-6,
    seed: int = 0,
) -> JacobianSplit:
    """The Jacobian of f at x, split by A.

    f: a map of images (batch, y, x), as `model.fixed_point_map(kspace, A).as_one_image()`. x:
        where, such as its fixed point.
    iterations: of each power iteration (the radii take twice as many). threshold: of what counts as
    the null space, see `range_projection`. seed: of the noise that the power iterations begin with,
    besides the residual f(x) - x (see `spectral_radius`).
    """
    inside = range_projection(A, x, threshold)
    with torch.no_grad():
        left = f(x) - x

    def outside(image: Tensor) -> Tensor:
        return image - inside(image)

    def norm(**subspaces: Any) -> Tensor:
        return spectral_norm(f, x, iterations, seed, start=left, **subspaces)

    return JacobianSplit(
        norm=norm(),
        radius=spectral_radius(f, x, 2 * iterations, seed),
        range_to_range=norm(domain=inside, target=inside),
        null_to_range=norm(domain=outside, target=inside),
        range_to_null=norm(domain=inside, target=outside),
        null_to_null=norm(domain=outside, target=outside),
        radius_range=spectral_radius(f, x, 2 * iterations, seed, inside),
        radius_null=spectral_radius(f, x, 2 * iterations, seed, outside),
    )
