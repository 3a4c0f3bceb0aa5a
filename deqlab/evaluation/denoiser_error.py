"""Whether the denoiser inside a model leaves the truth alone, judged away from the equilibria that
it was trained at.

Trained end to end, R is pinned down at the equilibria of its training alone. ||R(t) - t|| / ||t||
at the reference t of any scan says what it does elsewhere. A denoiser may remove the noise in t,
and should change no more: so the share of that noise stands beside.
"""

import torch
from torch import Tensor

from deqlab.data.sample import Batch
from deqlab.equilibrium.measure import displacement
from deqlab.operators import CartesianOperator
from deqlab.recon.base import Reconstructor
from deqlab.recon.deq.fixed_point_map import FixedPointMap
from deqlab.recon.fixed_point import FixedPointMethod
from deqlab.signal.sampling.noise_level import noise_level


@torch.no_grad()
def denoiser_error(method: Reconstructor, batch: Batch) -> Tensor | None:
    """||R(t) - t|| / ||t|| per slice, real (batch,), of the denoiser R in the method's fixed-point
    map, told its level and turned to the phase as there; t is the reference. None for a method
    without a denoiser, and where the reference is not known.
    """
    reference = batch.reference
    if not isinstance(method, FixedPointMethod) or reference is None:
        return None
    f = method.fixed_point_map(batch.kspace, batch.operator)
    return displacement(f.denoised, reference) if isinstance(f, FixedPointMap) else None


@torch.no_grad()
def noise_share(batch: Batch) -> Tensor | None:
    """||n|| / ||t|| per slice, real (batch,), of the noise n in the reference t, where that is as
    noisy as the measurement; None off the grid and where the reference is not known.

    The noise is that of `noise_level`, which takes the finest detail for noise as well. Coil maps
    of unit length combine it to as much as one coil has.
    """
    A, reference = batch.operator, batch.reference
    if not isinstance(A, CartesianOperator) or reference is None:
        return None
    shape = reference.shape[-2:]
    seen = torch.ones(1, *shape, device=reference.device)
    if A.coil_maps is not None:
        seen = A.coil_maps.abs().square().sum(1)
    deviation = noise_level(batch.kspace, A.mask)
    size = torch.linalg.vector_norm(reference, dim=(-2, -1))
    tiny = torch.finfo(size.dtype).tiny
    return deviation * (2 * seen.sum((-2, -1))).sqrt() / size.clamp_min(tiny)
