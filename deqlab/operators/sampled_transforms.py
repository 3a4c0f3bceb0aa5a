"""Sampled Fourier transforms of many coils: y = M F C x and its adjoint, coil by coil.

The maps C carry the centring phases of the image, the weights those of k-space, the orthonormal
scale and the mask. `PointSampling` and `LineSampling` compute the same maps; they differ in what
they need not compute. Either goes through the coils in runs: on the CPU a run fits a core's cache,
because fresh memory for all coils at once may cost as much as the transform itself. Where (y, x)
stands, (z, y, x) may.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# Coil images of about this size stay in a core's second-level cache between the transform and the
# products around it.
CACHE_BYTES = 2**20


@dataclass(frozen=True)
class PointSampling:
    """Any pattern: all axes are transformed, then multiplied by `weights` (batch | 1, 1, y, x),
    zero where nothing was sampled.
    """

    weights: Tensor
    # kept, not made at each call: a lazily conjugated factor makes the product several times slower
    conjugate: Tensor

    def forward(self, image: Tensor, maps: Tensor) -> Tensor:
        """M F C x, (batch, coil, y, x), from an image (batch, y, x) and maps (batch | 1, coil, y,
        x).
        """
        batch = max(len(image), len(maps), len(self.weights))
        kspace = image.new_empty(batch, maps.shape[1], *image.shape[1:])
        for group, samples in zip(_groups(maps, image), _groups(kspace, image)):
            torch.mul(
                torch.fft.fftn(image.unsqueeze(1) * group, dim=_axes(maps)),
                self.weights,
                out=samples,
            )
        return kspace

    def adjoint(self, kspace: Tensor, conjugate_maps: Tensor) -> Tensor:
        """C^H F^H M y, (batch, y, x)."""
        axes, pairs = _axes(kspace), zip(_groups(conjugate_maps, kspace), _groups(kspace, kspace))
        # norm="forward" leaves the inverse transform unscaled; the scale is in the weights.
        return _summed(
            torch.fft.ifftn(samples * self.conjugate, dim=axes, norm="forward").mul_(group)
            for group, samples in pairs
        )


@dataclass(frozen=True)
class LineSampling:
    """Whole phase-encode lines, the same in all the batch: the readout axis is transformed for the
    sampled `lines` (n,) only.

    weights: those of the sampled lines, (1, 1, y, n).
    """

    lines: Tensor
    weights: Tensor
    conjugate: Tensor

    def forward(self, image: Tensor, maps: Tensor) -> Tensor:
        """M F C x, (batch, coil, y, x), from an image (batch, y, x) and maps (batch | 1, coil, y,
        x).
        """
        kspace, (*others, _) = (
            image.new_empty(max(len(image), len(maps)), maps.shape[1], *image.shape[1:]),
            _axes(maps),
        )
        scratch = image.new_empty(0)
        for group, samples in zip(_groups(maps, image), _groups(kspace, image)):
            if scratch.shape != samples.shape:
                scratch = torch.empty_like(samples)
            rows = torch.fft.fft(torch.mul(image.unsqueeze(1), group, out=scratch), dim=-1)
            columns = self._columns(rows)
            samples.zero_().scatter_(
                -1, columns, torch.fft.fftn(rows.gather(-1, columns), dim=others).mul_(self.weights)
            )
        return kspace

    def adjoint(self, kspace: Tensor, conjugate_maps: Tensor) -> Tensor:
        """C^H F^H M y, (batch, y, x)."""
        return _summed(self._coil_images(kspace, conjugate_maps))

    def _coil_images(self, kspace: Tensor, conjugate_maps: Tensor) -> Iterator[Tensor]:
        """The terms of the sum over coils, (batch, coil, y, x), a run of coils each."""
        rows, (*others, _) = kspace.new_empty(0), _axes(kspace)
        for group, samples in zip(_groups(conjugate_maps, kspace), _groups(kspace, kspace)):
            if rows.shape != samples.shape:
                rows = torch.zeros_like(samples)
            columns = self._columns(samples)
            samples = samples.gather(-1, columns).mul_(self.conjugate)
            rows.scatter_(-1, columns, torch.fft.ifftn(samples, dim=others, norm="forward"))
            yield torch.fft.ifft(rows, dim=-1, norm="forward").mul_(group)

    def _columns(self, like: Tensor) -> Tensor:
        # gather and scatter_ take half the time of index_select and index_copy_ here.
        return self.lines.expand(*like.shape[:-1], -1)


def sampling(weights: Tensor, mask: Tensor) -> PointSampling | LineSampling:
    """The cheaper of the two for `mask` (batch | 1, 1, y | 1, x), with `weights` (batch | 1, 1, y,
    x) that are zero outside it.
    """
    # A mask on the meta device has a shape and no lines.
    if math.prod(mask.shape[:-1]) == 1 and not mask.is_meta:
        lines = mask.flatten().nonzero().flatten()
        # Beyond half of the lines, gathering and scattering cost more than the transforms that they
        # save.
        if 0 < 2 * len(lines) <= mask.shape[-1]:
            weights = weights.index_select(-1, lines)
            return LineSampling(lines, weights, weights.conj().resolve_conj())
    return PointSampling(weights, weights.conj().resolve_conj())


def normal(image: Tensor, maps: Tensor, conjugate_maps: Tensor, mask: Tensor) -> Tensor:
    """C^H F^H M F C x, (batch, y, x), for a real mask (batch | 1, 1, y | 1, x).

    The phases of k-space cancel. Along an axis that the mask has no part in, as the readout of
    whole lines, the transform meets its inverse.
    """
    axes = tuple(axis for axis in _axes(maps) if mask.shape[axis] > 1) or (-1,)
    image = image.unsqueeze(1)

    def seen(group: Tensor, conjugate: Tensor) -> Tensor:
        samples = torch.fft.fftn(image * group, dim=axes, norm="ortho").mul_(mask)
        return torch.fft.ifftn(samples, dim=axes, norm="ortho").mul_(conjugate)

    pairs = zip(_groups(maps, image), _groups(conjugate_maps, image))
    return _summed(seen(group, conjugate) for group, conjugate in pairs)


def _summed(runs: Iterator[Tensor]) -> Tensor:
    """The sum over coils, (batch, y, x), of coil images that come in runs (batch, coil, y, x); only
    one run is held at a time.
    """
    total = _over_coils(next(runs))
    for coil_images in runs:
        total.add_(_over_coils(coil_images))
    return total


def _over_coils(coil_images: Tensor) -> Tensor:
    return coil_images.squeeze(1) if coil_images.shape[1] == 1 else coil_images.sum(1)


def _groups(coils: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    """`coils` (batch | 1, coil, y, x), cut into the runs of coils that are transformed together."""
    if like.device.type != "cpu":
        return (coils,)
    one = len(like) * math.prod(coils.shape[2:]) * like.element_size()
    return coils.split(max(1, CACHE_BYTES // one), dim=1)


def _axes(coils: Tensor) -> tuple[int, ...]:
    """The axes of the image among those of `coils`, (batch | 1, coil, y, x) or (batch | 1, coil, z,
    y, x).
    """
    return tuple(range(2 - coils.ndim, 0))
