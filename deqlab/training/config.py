"""Everything that decides a training run, in one frozen, checked, printable object."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Lt

from deqlab.core.errors import InputError
from deqlab.core.options import (
    Count,
    NonNegative,
    Number,
    Positive,
    Share,
    Whole,
    names_of,
    option,
    options,
    to_json,
    updated,
)
from deqlab.losses import L1Loss
from deqlab.losses.registry import LOSSES
from deqlab.recon.base import Model
from deqlab.recon.deq.de_grad import DEGradOptions
from deqlab.recon.registry import METHODS, trainable
from deqlab.signal.sampling.masks import MASKS, mask_rules
from deqlab.training.objectives.protocol import Objective, Phase
from deqlab.training.objectives.registry import OBJECTIVES

SCHEMA = 2


@options
class TrainingConfig:
    """A training run. Whatever belongs to one objective alone is an option of that objective."""

    model: Annotated[Any, METHODS] = option(DEGradOptions(), "the method and its architecture")
    objective: Annotated[Any, OBJECTIVES] | None = option(
        None, "what is minimised; None for what the method is trained by"
    )
    loss: Annotated[Any, LOSSES] = option(L1Loss(), "between image and reference")
    acceleration: tuple[Number, ...] = option((4, 8), "each slice draws one of these")
    center_fraction: Share | None = option(
        None, "share of lines kept in the centre; None to follow the acceleration"
    )
    mask: tuple[str, ...] = option(("random",), "each slice draws one of these kinds")
    noise: NonNegative = option(
        0.01, "upper end of extra complex noise per slice, relative to the image's maximum"
    )
    max_pixels: Count = option(
        16384, "a sample is a strip of rows of at most so many pixels (exact physics)"
    )
    epochs: Count = option(10, "of the objective itself")
    steps_per_epoch: Count = option(100, "batches in an epoch")
    batch_size: Count = option(2, "slices in a batch")
    learning_rate: Positive = option(5e-4, "at the start of each phase, falling to 0 as a cosine")
    warm_up: Whole = option(0, "steps in which the rate rises from 0 at the start of each phase")
    average: Annotated[float, Ge(0), Lt(1)] = option(
        0.0, "share of a moving average of the weights kept in a step, such as 0.998; 0 for none"
    )
    clip: Positive = option(1.0, "largest norm of a gradient")
    seed: Whole = option(0, "of weights and draws")
    device: Literal["auto", "cpu", "cuda"] = option("auto", "a GPU where there is one, or as told")
    precision: Literal["32", "bf16"] = option("32", "of the network's convolutions")

    def __post_init__(self) -> None:
        name = METHODS.name_of(self.model)
        trained_by = METHODS[name].trained_by
        if trained_by is None:
            raise InputError(
                f"model: {name!r} has nothing to train; one of {', '.join(trainable())} needed"
            )
        for kind in self.mask:
            MASKS.checked(kind)
        # Before any file is read: are they rules at all?
        mask_rules(self.mask, self.acceleration, self.center_fraction)
        if self.objective is None:
            object.__setattr__(self, "objective", OBJECTIVES.make(trained_by))

    @property
    def name(self) -> str:
        """The name of the model."""
        return METHODS.name_of(self.model)

    def build(self) -> Model:
        """The model with fresh weights, as its objective wants it while it is trained."""
        model = METHODS.build(self.model)
        if not isinstance(model, Model):
            raise InputError(f"model: {self.name!r} is no `deqlab.recon.base.Model` with weights")
        self._chosen.attach(model)
        return model

    def phases(self) -> list[Phase]:
        """What is minimised, phase after phase."""
        return self._chosen.phases(self.epochs, self.model)

    @property
    def _chosen(self) -> Objective:
        assert self.objective is not None, "chosen when this object was made"
        chosen: Objective = self.objective
        return chosen

    def with_words(self, words: dict[str, str]) -> "TrainingConfig":
        """The configuration with options set from words of the shell: those that begin with
        "objective." are the objective's, those with "loss." the loss's, all others the model's.
        """
        parts: dict[str, dict[str, str]] = {"model": {}, "objective": {}, "loss": {}}
        for key, word in words.items():
            part, _, rest = key.partition(".")
            if part in ("objective", "loss") and rest:
                parts[part][rest] = word
            else:
                parts["model"][key] = word
        found = {name: updated(getattr(self, name), own) for name, own in parts.items()}
        return replace(self, **found)

    def card(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {"schema": SCHEMA, **to_json(self)}

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "TrainingConfig":
        """The inverse of `card`; InputError for a field that there is not. A field that is younger
        than the card has its default.
        """
        card = {key: value for key, value in card.items() if key != "schema"}
        strange = sorted(card.keys() - set(names_of(cls)))
        if strange:
            raise InputError(f"configuration: unknown field {strange[0]!r}")
        return cls(**card)
