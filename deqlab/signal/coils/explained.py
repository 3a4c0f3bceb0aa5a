"""How well coil maps explain calibration lines, which tells the maps of this scan from those of
another, from conjugate, exchanged or turned ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from deqlab.signal.coils.coil_maps import calibration_window
from deqlab.signal.sampling.noise_level import noise_level
from deqlab.signal.transforms.fourier import ifft2c


@dataclass(frozen=True)
class Explained:
    """share: of the energy of the low-resolution coil images, what one image times the maps makes
    up, 1 at best. noise: what noise that maps cannot explain is in units of that energy; maps that
    were estimated in as much noise are wrong by about as much.
    """

    share: float
    noise: float


def explained(
    kspace: Tensor, maps: Tensor, lines: slice, rows: slice | None = None
) -> Explained | None:
    """How well `maps` explain the low-resolution coil images, at every pixel on its own; None where
    these lines hold no more than noise.

    kspace, maps: complex (coil, y, x), sum |c|^2 = 1 or 0. lines, rows: as in `estimate_coil_maps`.
    Noise is subtracted as the outermost samples show it.
    """
    window = calibration_window(kspace, lines, rows)
    low = ifft2c(kspace * window)
    mask = (kspace != 0).any(0)
    level = float(noise_level(kspace[None], mask)[0])
    coils = len(kspace)
    noise = 2 * level**2 * float(window.square().sum())  # of each coil
    energy = float(low.abs().square().sum()) - coils * noise
    if energy <= coils * noise:
        return None
    along = (maps.conj() * low).sum(-3)
    share = (float(along.abs().square().sum()) - noise) / energy
    return Explained(min(1.0, share), (coils - 1) * noise / energy)


def explained_share(
    kspace: Tensor, maps: Tensor, lines: slice, rows: slice | None = None
) -> float | None:
    """The share alone. Above 0.997 on heads and on a measured bottle for maps by every method here
    but for noise; below 0.9 for those of another order, orientation or sign.
    """
    found = explained(kspace, maps, lines, rows)
    return None if found is None else found.share


def phase_of_object(kspace: Tensor, maps: Tensor, lines: slice, rows: slice | None) -> Tensor:
    """Factors of modulus 1 that give `maps` the phase of the object at low resolution, complex (y,
    x): then the image is left nearly real, as maps estimated here leave it and models know it.

    Arguments as in `explained_share`. 1 where there is no signal.
    """
    along = (maps.conj() * ifft2c(kspace * calibration_window(kspace, lines, rows))).sum(-3)
    phase = torch.sgn(along)
    return torch.where(phase == 0, 1, phase)
