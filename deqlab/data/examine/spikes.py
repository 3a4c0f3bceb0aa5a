"""One sample in the whole of k-space is enough for stripes across the image: it is named."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from deqlab.core.options import Count, option, options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.examine.seen import SeenSlice
from deqlab.data.examine.standing_out import standing_out
from deqlab.data.formats.protocol import OffGridVolume, Volume


@options
class Spikes(Check):
    """No sample stands alone, far above its surroundings. Whether one is left out is the user's to
    say: what was measured may be an object that nobody thought of.
    """

    of: ClassVar[type[Any]] = Volume
    named: Count = option(3, "how many of one slice are named; the rest is counted")

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """The strongest spikes of a slice."""
        found = seen.spikes
        if isinstance(volume, OffGridVolume):
            # One apart on a full grid: cycles per field of view.
            points = volume.trajectory(seen.index).numpy() * np.asarray(volume.recon_shape)
            found = standing_out(np.abs(seen.stored), points)
        for spike in found[: self.named]:
            if isinstance(volume, OffGridVolume):
                place, remedy = f"sample {spike.at}", "leave that sample out of the file"
            else:
                row, column = divmod(spike.at, seen.stored.shape[-1])
                place = f"row {row}, column {column}"
                remedy = "leave that column out of the mask, or put its neighbours' mean there"
            more = len(found) - self.named
            yield Finding(
                Severity.WARNING,
                f"coil {spike.coil}, {place}: the sample is {spike.factor:.2g} times larger than"
                " its surroundings, as a spike of radio frequency is",
                "it is taken as measured and draws stripes across the image; "
                + remedy
                + (f" ({more} more like it)" if more > 0 else ""),
            )
