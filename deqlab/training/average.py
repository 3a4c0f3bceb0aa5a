"""An exponential moving average of weights over the steps of a run: what training returns where it
is asked for.

B. T. Polyak and A. B. Juditsky, Acceleration of stochastic approximation by averaging, SIAM J.
Control Optim. 30 (1992); with a factor that begins small, so that the first weights are forgotten.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from deqlab.recon.base import Model


class WeightAverage:
    """The average of a model's parameters. decay: what is kept of it in a step; 0 for no average,
    and then nothing here costs anything.
    """

    def __init__(self, model: Model, decay: float):
        self.decay = decay
        own = model.named_parameters() if decay else ()
        self.weights: dict[str, Tensor] = {name: value.detach().clone() for name, value in own}

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Take the weights after a step (0, 1, ... of the whole run) in."""
        decay = min(self.decay, (step + 1) / (step + 10))
        for name, value in model.named_parameters() if self.decay else ():
            self.weights[name].lerp_(value, 1 - decay)

    @torch.no_grad()
    def into(self, model: Model) -> None:
        """Make the average the model's weights, and bring them to what is promised of them."""
        if self.decay:
            for name, value in model.named_parameters():
                value.copy_(self.weights[name])
            model.after_step()

    @contextmanager
    def applied(self, model: Model) -> Iterator[None]:
        """The model has the average within the block, and its own weights after it."""
        if not self.decay:
            yield
            return
        own = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self.into(model)
        try:
            yield
        finally:
            model.load_state_dict(own)
