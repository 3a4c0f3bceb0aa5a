"""Maps of a file beside the calibration lines of the scan that they are used for: compared with
them, and given their phase.
"""

import warnings

from torch import Tensor

from deqlab.core.errors import DeqlabWarning
from deqlab.data.formats.protocol import Volume
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.signal.coils.explained import explained, phase_of_object

# What maps may leave unexplained of the energy of the calibration lines, and so many times the
# noise's share of it, for maps that were estimated in noise carry it. Honest maps, by ESPIRiT, from
# low resolution or by Walsh, and simulated ones as they were, leave 0.0001 to 0.003 of heads with 4
# and 7 coils, of a bottle with 16 and of spokes, and 0.009 to 0.016 in noise of 10 and 20 % of the
# brightest pixel. Those that are moved by 4 % of the field of view leave 0.009 to 0.015 of heads
# and 0.04 of the bottle; conjugate, exchanged or turned ones 0.1 to 0.9.
UNEXPLAINED, NOISE = 0.008, 1.5


def fitted(
    volume: Volume,
    index: int,
    source: StoredMaps,
    maps: Tensor,
    kspace: Tensor,
    lines: slice | None,
    rows: slice | None,
) -> tuple[Tensor, str, float | None]:
    """(maps of `source` with the phase of the object, where they come from, the share of the
    calibration lines that they explain): complex (coil, y, x), words, None where nothing can be
    compared.

    Maps are known but for one phase at every pixel: some make the first coil real, others leave the
    object's phase in the image. Models learned from images whose smooth phase is in the maps.
    kspace: complex (coil, y, x). lines, rows: as in `estimate_coil_maps`, None where there are
    none. Warns (DeqlabWarning) of maps that explain less than they should.
    """
    if lines is None or len(maps) == 1:
        return maps, source.told, None
    found = explained(kspace, maps, lines, rows)
    least = 1.0 if found is None else 1 - UNEXPLAINED - NOISE * found.noise
    if found is not None and found.share < least:
        warnings.warn(
            f"{source.path}: coil_maps explain {found.share:.1%} of the calibration lines of"
            f" {volume.path.name} slice {index}, {least:.1%} or more expected; they may be"
            " conjugate, moved, in another order or orientation, or of another scan",
            DeqlabWarning,
            stacklevel=1,
        )
    turned = maps * phase_of_object(kspace, maps, lines, rows)
    return turned, source.told, None if found is None else found.share
