"""A picture for a first glance: what was measured, what became of it, and how far it came."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from deqlab.app.image_files.protocol import ImageFile
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.options import options

FEW = 4  # slices of which all are shown
ROOM = 4 * 2**20  # bytes, more than such a picture takes


@options
class Picture(ImageFile):
    """PNG: the zero-filled image, the result and their difference, of all of a few slices or of the
    middle one of many; the mask; the residual of every slice where the method iterates.
    """

    endings: ClassVar[tuple[str, ...]] = (".png",)

    def content(self, result: Reconstruction) -> bytes:
        """The picture of a result whose `zero_filled` has what is shown."""
        from deqlab.show.quick_look import quick_look  # imported here because it takes a while

        shown = self.shown(len(result.slices))
        figure = quick_look(
            {
                f"slice {result.slices[at]}": (result.zero_filled[at], result.images[at])
                for at in shown
            },
            name=result.attributes.get("model", "result"),
            mask=result.mask,
            residual=dict(zip(result.slices, result.residual)),
            converged=result.converged,
        )
        return _png(figure)

    def side_by_side(self, results: Mapping[str, Reconstruction]) -> bytes:
        """A row for each model, all of the middle slice."""
        from deqlab.show.quick_look import quick_look

        (first, *_) = results.values()
        at = len(first.slices) // 2
        rows = {name: (one.zero_filled[at], one.images[at]) for name, one in results.items()}
        return _png(quick_look(rows, name=f"slice {first.slices[at]}", mask=first.mask))

    def room(self, blank: Reconstruction) -> int:
        """A bound for pictures of any size, as nothing can be drawn yet."""
        return ROOM

    def room_of_several(self, blank: Mapping[str, Reconstruction]) -> int:
        """The same bound for every few rows."""
        return ROOM * -(-len(blank) // FEW)

    def shown(self, slices: int) -> Sequence[int]:
        """All of a few, the middle one of many."""
        return range(slices) if slices <= FEW else [slices // 2]


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
