"""What an examination finds, and what a check must offer.

A new check is one file with one frozen object, and one line in `registry.py`: everything that opens
a file through `deqlab.data.open_volume` then knows what it knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from deqlab.data.examine.seen import SeenSlice
from deqlab.data.formats.protocol import Volume


class Severity(IntEnum):
    """How bad a finding is: a NOTE is told by `deqlab data check` alone, a WARNING by whatever
    reads the file, and after a REFUSAL nothing reads it.
    """

    NOTE = 1
    WARNING = 2
    REFUSAL = 3


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file or with one of its slices.

    what: a clause without the file's name, the same for all slices that share the defect. advice:
    what would be right, or what is done about it.
    """

    severity: Severity
    what: str
    advice: str = ""

    @property
    def told(self) -> str:
        """The whole sentence."""
        return f"{self.what}; {self.advice}" if self.advice else self.what


class Check:
    """One kind of contradiction. A subclass is a frozen object whose fields are its bounds.

    of: the volumes that it can be asked about. Neither question changes anything, and neither reads
    k-space: the samples of a slice are handed over.
    """

    of: ClassVar[type[Any]] = Volume

    def facts(self, volume: Volume) -> Iterator[Finding]:
        """What the facts of a volume contradict, without a sample."""
        yield from ()

    def samples(self, volume: Volume, seen: SeenSlice) -> Iterator[Finding]:
        """What the samples of a slice contradict."""
        yield from ()
