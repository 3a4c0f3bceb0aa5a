"""What a format of image files must offer. A new one is one file with a class of this kind and one
line in `registry.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from deqlab.app.reconstructed import Reconstruction
from deqlab.core.errors import InputError


class ImageFile(ABC):
    """A kind of file that holds a reconstruction, as one frozen object.

    endings: of the names of such files, in small letters.
    """

    endings: ClassVar[tuple[str, ...]]

    @abstractmethod
    def content(self, result: Reconstruction) -> bytes:
        """The whole file; equal reconstructions give equal bytes. InputError for what the format
        cannot hold.
        """

    def room(self, blank: Reconstruction) -> int:
        """Bytes that the file of a result of the size of `blank` may take, told before the work.
        InputError as in `content`.
        """
        return len(self.content(blank))

    def side_by_side(self, results: Mapping[str, Reconstruction]) -> bytes:
        """As `content`, of what several models, by name, made of the same slices. InputError where
        the format holds the images of one alone.
        """
        raise InputError(
            f"{' or '.join(self.endings)}: holds the images of one model, {len(results)} given;"
            " .h5 or .png needed"
        )

    def room_of_several(self, blank: Mapping[str, Reconstruction]) -> int:
        """As `room`, of `side_by_side`."""
        return len(self.side_by_side(blank))

    def shown(self, slices: int) -> Sequence[int]:
        """Positions among so many slices of those whose zero-filled image is needed too."""
        return ()
