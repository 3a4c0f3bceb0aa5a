"""Images straight from samples off the grid: density weights, coil maps and an operator that any
reconstructor can take.

What a Cartesian scan gives for nothing has to be computed here: how much each sample counts, how
the coils see from the samples near the centre, and a scale at which A^H A is what it is on the
grid, near the identity where nothing is missing and never above it.
"""

import math

import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.operators.linear import LinearOperator
from deqlab.operators.noncartesian import NonCartesianOperator
from deqlab.operators.nufft import NUFFTOperator
from deqlab.operators.off_resonance import OffResonance
from deqlab.signal.coils.coil_maps import rss
from deqlab.signal.sampling.density import pipe_menon
from deqlab.signal.transforms.crop import center_window
from deqlab.signal.transforms.fourier import fft2c

OffGrid = NonCartesianOperator | OffResonance

# Weights need no more digits than this; the transform is the cheaper for it.
TOLERANCE = 1e-4
# Power iteration comes from below; so much more is taken for the norm.
MARGIN = 1.03


def density_weights(
    trajectory: Tensor, shape: tuple[int, ...], iterations: int = 10, start: Tensor | None = None
) -> Tensor:
    """Pipe and Menon's weights for `trajectory`, float64 (samples,): 1 for a sample that stands for
    one of the Cartesian grid of `shape`.

    trajectory: real (samples, axes) in cycles per pixel. iterations, start: as in
        `deqlab.signal.sampling.density.pipe_menon`.
    """
    F = NUFFTOperator(trajectory, tuple(2 * side for side in shape), tolerance=TOLERANCE)
    like = torch.zeros(1, 1, len(trajectory), dtype=torch.complex64, device=trajectory.device)
    start = None if start is None else start.to(like.real).expand_as(like)
    return pipe_menon(F, F.H, like, iterations, len(shape), start).flatten().double()


def coil_maps_from_center(
    kspace: Tensor, trajectory: Tensor, density: Tensor, shape: tuple[int, ...], reach: float = 10.0
) -> Tensor:
    """Coil maps from the samples near the centre of k-space: low-resolution coil images over their
    root-sum-of-squares.

    kspace: complex (coil, samples). trajectory: real (samples, axes) in cycles per pixel. density:
    real (samples,), their weights. reach: how far from the centre samples are used, in cycles per
    field of view of the longest axis, under a cosine lobe.
    Result: complex (coil, *shape), sum |c|^2 = 1 at every pixel; as `estimate_coil_maps` for
    Cartesian lines, phase of the object included. InputError where there is no sample within reach.
    """
    near = _near_center(trajectory, shape, reach)
    distance = torch.linalg.vector_norm(trajectory[near], dim=-1) * max(shape)
    taper = density[near] * torch.cos(torch.pi / 2 * distance / reach)
    F = NUFFTOperator(trajectory[near], shape, tolerance=TOLERANCE)
    low = F.H((kspace[:, near] * taper.to(kspace.real.dtype)).unsqueeze(1))
    # Scaled by the peak first, so that squares neither vanish nor overflow.
    peak = low.abs().amax()
    low = low / torch.where(peak > 0, peak, 1)
    magnitude = rss(low, axis=0)
    empty = magnitude < 1e-12
    return torch.where(empty, 1 / math.sqrt(len(low)), low / torch.where(empty, 1, magnitude))


def gridded_center(
    kspace: Tensor, trajectory: Tensor, density: Tensor, shape: tuple[int, int], reach: float = 10.0
) -> tuple[Tensor, slice, slice]:
    """(k-space, lines, rows): a calibration block on the Cartesian grid, for ESPIRiT and whatever
    else asks for one.

    Arguments: as in `coil_maps_from_center`. Result: complex (coil, y, x), of which columns `lines`
    and rows `rows` hold the block: the k-space of the weighted adjoint, so that a Cartesian sample
    is a mean of the samples about it. InputError as there.
    """
    near = _near_center(trajectory, shape, reach + 1)
    F = NUFFTOperator(trajectory[near], shape, tolerance=TOLERANCE)
    images = F.H((kspace[:, near] * density[near].to(kspace.real.dtype)).unsqueeze(1))
    rows, lines = (
        center_window(side, min(side, 2 * int(reach) * side // max(shape))) for side in shape
    )
    return fft2c(images), lines, rows


def at_most_one(A: OffGrid, like: Tensor, iterations: int = 30) -> OffGrid:
    """A over its norm, or A where that is at most 1 already, so that step sizes that were learned
    on the grid stay stable.

    A: an operator off the grid, or off-resonance around one (which may lengthen what it wraps:
        pixels that are squeezed together add up).
    like: an image of its domain, (batch, *shape). The factor goes into the weights, so `weigh(A,
    y)` of the *result* scales the measurements alike, and the solution of A x = y stays what it
    was. The norm is measured by power iteration, from below, plus 3 %.
    """
    largest = float((MARGIN * A.norm(like, iterations)).max()) ** 2
    factor = min(1.0, 1 / max(largest, torch.finfo(torch.float64).tiny))
    return _around(A, _off_grid(A).scaled(factor))


def weighted(A: OffGrid, weights: Tensor) -> OffGrid:
    """V^(1/2) A for weights V of the samples, as `NonCartesianOperator.weighted`, off-resonance
    included.
    """
    return _around(A, _off_grid(A).weighted(weights))


def compensation(A: OffGrid, iterations: int = 10) -> Tensor:
    """Weights V of the samples of A with which A^H V A is near a multiple of the identity where
    nothing is missing, real (batch | 1, samples): those of Pipe and Menon, or 1 where A has weights
    of its own, which are such weights already.
    """
    inner = _off_grid(A)
    if inner.weights is not None:
        return torch.ones_like(inner.weights)
    each = [density_weights(points, inner.shape, iterations) for points in inner.trajectory]
    return torch.stack(each)


def density_weighted(kspace: Tensor, A: LinearOperator) -> tuple[Tensor, LinearOperator]:
    """(V^(1/2) y, V^(1/2) A) with the weights V of `compensation` for samples y off the grid that
    have no weights yet; all else as it is given.
    """
    inside = A.fourier if isinstance(A, OffResonance) else A
    if not isinstance(inside, NonCartesianOperator) or inside.weights is not None:
        return kspace, A
    inner = inside.weighted(compensation(inside))
    return inner.weigh(kspace), _around(A, inner) if isinstance(A, OffResonance) else inner


def every_sample_alike(A: OffGrid) -> Tensor:
    """Weights V of the samples that take those of A away, real (batch | 1, samples): V^(1/2) A
    measures them all alike.
    """
    inner = _off_grid(A)
    W = inner.trajectory.new_ones(1, inner.samples) if inner.weights is None else inner.weights
    return torch.where(W > 0, 1 / torch.where(W > 0, W, 1), 0)


def unit_gain(A: OffGrid, like: Tensor) -> Tensor:
    """The weight of all samples of a batch member with which the mean of |A^H A 1| over the pixels
    is 1: real (batch, 1); 1 where A measures nothing of the image 1.

    like: k-space of A, (batch, coil, samples), for the batch, the precision and the device.
    """
    with torch.no_grad():
        ones = like.new_ones(len(like), *_off_grid(A).shape)
        mean = A.H(A(ones)).abs().flatten(1).mean(1, keepdim=True)
    return torch.where(mean > 0, 1 / torch.where(mean > 0, mean, 1), 1)


def weigh(A: OffGrid, kspace: Tensor) -> Tensor:
    """W^(1/2) y for k-space y, (batch, coil, samples), with the weights of A, or of the operator
    inside off-resonance.
    """
    return _off_grid(A).weigh(kspace)


def _off_grid(A: OffGrid) -> NonCartesianOperator:
    """A itself, or the operator inside off-resonance; InputError where that is on the grid."""
    inner = A.fourier if isinstance(A, OffResonance) else A
    if not isinstance(inner, NonCartesianOperator):
        raise InputError(f"{type(inner).__name__} given, an operator off the grid needed")
    return inner


def _around(A: OffGrid, inner: NonCartesianOperator) -> OffGrid:
    """`inner` with the off-resonance that A has, if any."""
    if isinstance(A, OffResonance):
        return OffResonance(inner, A.field_map, A.times, A.tolerance, A.segments)
    return inner


def _near_center(trajectory: Tensor, shape: tuple[int, ...], reach: float) -> Tensor:
    """Which samples are within `reach` cycles per field of view of the centre, bool (samples,);
    InputError where none is.
    """
    distance = torch.linalg.vector_norm(trajectory, dim=-1) * max(shape)
    near = distance < reach
    if not bool(near.any()):
        raise InputError(
            f"trajectory: its nearest sample is {float(distance.min()):.3g} cycles per field of"
            f" view from the centre of k-space; coil maps need samples within {reach:g}"
        )
    return near
