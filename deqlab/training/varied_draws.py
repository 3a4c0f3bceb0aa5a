"""Training batches of varied data, each made when it is asked for."""

from deqlab.core.rank import Rank
from deqlab.data.sample import Batch, collate
from deqlab.data.varied.draws import Varied
from deqlab.training.config import TrainingConfig


class VariedDraws:
    """Batches of undersampled scans, and for denoisers of windows, as a pure function of (seed,
    stream, step).
    """

    def __init__(self, varied: Varied, config: TrainingConfig):
        self.varied = varied
        self.seed, self.batch_size = config.seed, config.batch_size

    def batch(self, stream: int, step: int, rank: Rank = Rank()) -> Batch:
        """The batch of `step` (0, 1, ...): windows of stream 0, scans of stream 1. rank: whose
        share of it.
        """
        draw = self.varied.window if stream == 0 else self.varied.scan
        indices = rank.part(range(self.batch_size))
        return collate([draw(self.seed, step, index) for index in indices])
