"""How well coil maps explain calibration lines, which tells the maps of this scan from those of
another, from conjugate, exchanged or turned ones.
"""

import torch
from torch import Tensor

from deqlab.signal.coils.coil_maps import calibration_window
from deqlab.signal.sampling.noise_level import noise_level
from deqlab.signal.transforms.fourier import ifft2c


def explained_share(
    kspace: Tensor, maps: Tensor, lines: slice, rows: slice | None = None
) -> float | None:
    """The share of the energy of the low-resolution coil images that one image times `maps` makes
    up, at every pixel on its own; None where these lines hold no more than noise.

    kspace, maps: complex (coil, y, x), sum |c|^2 = 1 or 0. lines, rows: as in `estimate_coil_maps`.
    Noise, which no maps explain, is subtracted as the outermost samples show it. 1 at best; 0.98 or
    more on heads and on a measured bottle for maps by every method here; below 0.9 for those of
    another order, orientation or sign.
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
    return min(1.0, (float(along.abs().square().sum()) - noise) / energy)


def phase_of_object(kspace: Tensor, maps: Tensor, lines: slice, rows: slice | None) -> Tensor:
    """Factors of modulus 1 that give `maps` the phase of the object at low resolution, complex (y,
    x): then the image is left nearly real, as maps estimated here leave it and models know it.

    Arguments as in `explained_share`. 1 where there is no signal.
    """
    along = (maps.conj() * ifft2c(kspace * calibration_window(kspace, lines, rows))).sum(-3)
    phase = torch.sgn(along)
    return torch.where(phase == 0, 1, phase)
