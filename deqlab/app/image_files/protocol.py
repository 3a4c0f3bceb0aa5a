"""What a format of image files must offer. A new one is one file with a class of this kind and one
line in `registry.py`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from deqlab.app.reconstructed import Reconstruction


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

    def shown(self, slices: int) -> Sequence[int]:
        """Positions among so many slices of those whose zero-filled image is needed too."""
        return ()
