"""Under which conditions methods are judged."""

from typing import Annotated, Any

from deqlab.core.options import Count, Number, Share, Whole, option, options
from deqlab.signal.coils.air_noise import NoWhitening
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.coils.registry import WHITENING
from deqlab.signal.sampling.masks import MASKS, mask_rules


@options
class Conditions:
    """What every method is given alike: masks, slices, coil maps, coils."""

    acceleration: tuple[Number, ...] = option((4, 8), "each is judged apart")
    mask: str = option("random", "the kind of masks")
    center_fraction: Share | None = option(
        None, "share of lines kept in the centre; None to follow the acceleration"
    )
    slices: Any = option(None, "as in the data set: None for those rich in anatomy")
    seed: Whole = option(0, "of the masks; 0 lets the file's name decide")
    coil_maps: Any = option(LowResolution(), "how they are estimated, or the file that has them")
    whiten: Annotated[Any, WHITENING] = option(
        NoWhitening(), "whether coils, and the target's with them, are mixed to white noise"
    )
    coils: Count | None = option(
        None, "compress to at most so many virtual coils; the target stays that of all"
    )

    def __post_init__(self) -> None:
        MASKS.checked(self.mask)
        # Before any file is read: are they rules at all?
        mask_rules([self.mask], self.acceleration, self.center_fraction)
