"""The header and the array are of one size and of one number of receivers."""

from collections.abc import Iterator
from typing import Any, ClassVar

from deqlab.core.options import options
from deqlab.data.examine.protocol import Check, Finding, Severity
from deqlab.data.formats.protocol import GridVolume, Volume

AXES = "(slices, coils, rows, columns)"


@options
class HeaderFits(Check):
    """What an ISMRMRD header says of sizes and receivers is what `kspace` has."""

    of: ClassVar[type[Any]] = GridVolume

    def facts(self, volume: Volume) -> Iterator[Finding]:
        """Axes in another order are refused, other sizes and receivers told."""
        assert isinstance(volume, GridVolume)
        header = volume.header
        if header is None:
            return
        slices, coils, *size = volume.shape
        rows, columns = size
        stored = "x".join(map(str, volume.shape if volume.multicoil else (slices, *size)))
        encoded = f"{header.encoded[0]}x{header.encoded[1]}"
        if header.encoded != (rows, columns):
            if volume.multicoil and header.encoded in ((coils, rows), (coils, columns)):
                yield Finding(
                    Severity.REFUSAL,
                    f"kspace of shape {stored} has its coils on another axis than the second:"
                    f" ismrmrd_header says {encoded} encoded",
                    f"{AXES} needed",
                )
                return
            yield Finding(
                Severity.WARNING,
                f"ismrmrd_header: encodedSpace {encoded} differs from kspace {rows}x{columns}",
                "the padding it states is not used",
            )
        if header.receivers is None or header.receivers == coils:
            return
        if volume.multicoil:
            yield Finding(
                Severity.WARNING,
                f"ismrmrd_header: {header.receivers} receiverChannels, kspace has {coils} coils",
                "the array is believed",
            )
        elif slices == header.receivers:
            yield Finding(
                Severity.WARNING,
                f"kspace of shape {stored} is taken as {slices} slices of one coil, but"
                f" ismrmrd_header says {header.receivers} receiverChannels",
                f"{AXES} needed if these are the coils of one slice",
            )
