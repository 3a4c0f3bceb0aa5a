"""A training configuration from the words of a shell."""

from __future__ import annotations

import pytest

from deqlab.core.errors import InputError
from deqlab.losses import PerpendicularLoss, SSIMLoss
from deqlab.training.config import TrainingConfig


def test_words_reach_the_model_the_objective_and_the_loss() -> None:
    config = TrainingConfig(model="de-prox", loss="perpendicular")
    words = {"denoiser.width": "8", "objective.hinge": "2", "loss.magnitude": "ssim"}
    found = config.with_words(words | {"loss.weight": "0.5"})
    assert found.model.denoiser.width == 8 and found.objective.hinge == 2
    assert found.loss == PerpendicularLoss(magnitude=SSIMLoss(), weight=0.5)
    assert TrainingConfig.from_card(found.card()) == found
    with pytest.raises(InputError, match="nonsense"):
        config.with_words({"loss.nonsense": "1"})
    with pytest.raises(InputError, match="magnitude"):
        TrainingConfig(model="de-prox", loss="l1").with_words({"loss.magnitude": "ssim"})
