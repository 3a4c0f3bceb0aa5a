"""A coil that receives noise alone, or nearly so, spoils the image of all others: it is named."""

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch

from deqlab.core.options import options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import OffGridVolume, Volume
from deqlab.data.formats.samples import in_unit_range
from deqlab.signal.coils.coil_noise import coil_noise, grid_radius


@options
class NoisyCoil(Check):
    """No coil has ten times the noise of the others without more signal too. Another gain is no
    defect.
    """

    of: ClassVar[type[Any]] = Volume

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """The coils of a slice that are noisy."""
        measured = torch.from_numpy(seen.sampled)
        if not measured.any():
            return
        samples = torch.from_numpy(in_unit_range(seen.stored)[0])
        if isinstance(volume, OffGridVolume):
            radius = torch.linalg.vector_norm(volume.trajectory(seen.index), dim=-1)
        else:
            rows, columns = measured.shape
            radius = grid_radius((rows, columns))
        found = coil_noise(samples[:, measured], radius[measured])
        for coil in found.noisy:
            # Rounded down to one digit, so that slices which share the defect share the sentence.
            # What signal reaches the outermost samples only makes the factor smaller.
            ten = 10 ** math.floor(math.log10(float(found.factors[coil])))
            factor = math.floor(float(found.factors[coil]) / ten) * ten
            yield Finding(
                Severity.WARNING,
                f"the noise of coil {coil} is at least {factor:g} times that of the others, and its"
                " signal is not",
                "it is left out where coils are whitened (`--whiten auto`), and taken as it is"
                " elsewhere",
            )
