"""The noise of a measurement, from the measurement itself.

Signal falls with the distance from the centre of k-space, noise does not: far out there is little
else. The modulus of complex Gaussian noise is a Rayleigh variable, and its median is hardly moved
by the few samples in which there is signal too. Where an image has detail down to the pixel, the
signal of the corners counts as noise: of noiseless simulated heads of 128 pixels the estimate is
about 1 % of the image's peak, and noise below that cannot be told apart in this way.
"""

import math

import torch
from torch import Tensor

# The outermost share of the measured positions, but so many at least. At 5 % whole lines leave the
# corners of k-space; twice as many bring signal in, half as many a wider spread of the estimate.
OUTERMOST, FEWEST = 0.05, 32

# Of a Rayleigh variable whose real and imaginary part have standard deviation 1.
MEDIAN = math.sqrt(2 * math.log(2))


@torch.no_grad()
def noise_level(kspace: Tensor, mask: Tensor) -> Tensor:
    """Standard deviation of the real (and of the imaginary) part of the noise in k-space, of all
    coils together: real (batch,), in the units of `kspace`.

    It is read off the outermost measured samples. Samples that are exactly zero in every coil count
    as not measured, for they were filled in, and so do those of a coil that is zero everywhere; 0
    where nothing was measured at all. The sampling error is about 0.7 over the root of the number
    of samples.

    kspace: complex (batch, coil, y, x). mask: bool, broadcastable to (batch, 1, y, x).
    """
    rows, columns = kspace.shape[-2:]
    radius = _distance(rows, kspace)[:, None] + _distance(columns, kspace)
    measured = (mask & (kspace != 0).any(1, keepdim=True)).flatten(1)
    known = measured.sum(1)
    count = torch.minimum(known, (OUTERMOST * known).round().long().clamp_min(FEWEST))
    # As many positions as any sample can need, so that no shape waits for a device's numbers; those
    # beyond a sample's own count go to the end.
    most = min(rows * columns, max(FEWEST, round(OUTERMOST * rows * columns)))
    outermost = torch.where(measured, radius.flatten(), -1).topk(most, 1).indices
    sizes = kspace.flatten(2).gather(2, outermost[:, None].expand(-1, kspace.shape[1], -1)).abs()
    beyond = torch.arange(most, device=kspace.device) >= count[:, None]
    live = (kspace != 0).flatten(2).any(2)
    unknown = beyond[:, None] | ~live[:, :, None]
    ordered = sizes.masked_fill(unknown, torch.inf).flatten(1).sort(1).values
    total = count * live.sum(1)
    middle = torch.stack(((total - 1).clamp_min(0) // 2, total // 2), 1)
    level = ordered.gather(1, middle.clamp_max(ordered.shape[1] - 1)).mean(1) / MEDIAN
    return torch.where(known > 0, level, torch.zeros_like(level))


@torch.no_grad()
def noise_level_off_grid(kspace: Tensor, weights: Tensor, trajectory: Tensor) -> Tensor:
    """The same off the grid, of the samples before they were weighted: real (batch,).

    kspace: complex (batch, coil, samples), samples times the root of their weights. weights: real,
    >= 0, (batch | 1, samples); samples of weight 0 are not looked at. trajectory: real (batch | 1,
    samples, axes).
    """
    batch = len(kspace)
    known = (weights > 0) & (kspace != 0).any(1)
    radius = torch.linalg.vector_norm(trajectory, dim=-1).to(kspace.real).expand_as(known)
    live = (kspace != 0).any(2)
    levels = []
    for member in range(batch):
        here = known[member].nonzero().flatten()
        if len(here) == 0:
            levels.append(kspace.real.new_zeros(()))
            continue
        count = min(len(here), max(FEWEST, round(OUTERMOST * len(here))))
        far = here[radius[member, here].topk(count).indices]
        root = weights.expand_as(known)[member, far].sqrt()
        sizes = kspace[member][live[member]][:, far].abs() / root
        levels.append(sizes.flatten().median() / MEDIAN)
    return torch.stack(levels)


def _distance(length: int, like: Tensor) -> Tensor:
    """Squared distance from the centre along an axis, in units of its half length: real
    (length,).
    """
    position = torch.arange(length, device=like.device, dtype=like.real.dtype)
    return ((position - length // 2) / (length / 2)) ** 2
