"""Maps of a file beside the calibration lines of the scan that they are used for: compared with
them, and given their phase.
"""

import warnings

from torch import Tensor

from deqlab.core.errors import DeqlabWarning
from deqlab.data.formats.protocol import Volume
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.signal.coils.explained import explained_share, phase_of_object

# Of the energy of the calibration lines. Maps by ESPIRiT, from low resolution and by Walsh explain
# 0.98 and more of heads with 4 and 7 coils and of a bottle with 16, and of these in noise of up to
# a third of the brightest pixel; conjugate, exchanged, turned or foreign ones 0.07 to 0.9.
LEAST = 0.97


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
    explained = explained_share(kspace, maps, lines, rows)
    if explained is not None and explained < LEAST:
        warnings.warn(
            f"{source.path}: coil_maps explain {explained:.0%} of the calibration lines of"
            f" {volume.path.name} slice {index}, {LEAST:.0%} or more expected; they may be"
            " conjugate, in another order or orientation, or of another scan",
            DeqlabWarning,
            stacklevel=1,
        )
    turned = maps * phase_of_object(kspace, maps, lines, rows)
    return turned, source.told, explained
