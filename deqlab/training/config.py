"""Everything that decides a training run, in one frozen, checked, printable object."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from deqlab.core.errors import InputError
from deqlab.equilibrium import ImplicitGradient, JacobianFree
from deqlab.losses.image_losses import LOSSES
from deqlab.recon.registry import LEARNED, create, learned
from deqlab.signal.sampling.masks import MASKS
from deqlab.solvers import Anderson, Picard

SOLVERS = {"anderson": Anderson(memory=5), "picard": Picard()}
GRADIENTS = {"implicit": ImplicitGradient, "jacobian-free": JacobianFree}
PRECISIONS = ("32", "bf16")
DEVICES = ("auto", "cpu", "cuda")
# Fields whose values are names from a closed list.
CHOICES = {
    "loss": tuple(LOSSES),
    "solver": tuple(SOLVERS),
    "gradient": tuple(GRADIENTS),
    "precision": PRECISIONS,
    "device": DEVICES,
    "mask": tuple(MASKS),
}


@dataclass(frozen=True)
class TrainingConfig:
    """A training run: a denoiser is pretrained on Gaussian noise, then the equilibrium model is
    trained end to end.

    model: a learned one by name, as "de-grad"; options: its architecture, as in
        `deqlab.recon.create`.
    acceleration, mask: each training slice draws one of each. noise: upper end of the standard
        deviation of extra complex noise per slice, relative to the image maximum. max_pixels: a
        training sample is a strip of rows of at most so many pixels (exact physics: rows are fully
        sampled).
    pretrain_epochs, epochs, steps_per_epoch, batch_size: the budget. learning_rate: at the start of
        each phase, falling to 0 as a cosine.
    solver, tolerance, max_evaluations, gradient, backward_evaluations: of the equilibrium in
        training.
    hinge: weight of the penalty on max(0, ||f(x + d) - f(x)|| / ||d|| - hinge_bound)^2 along a
        direction d found by `hinge_iterations` power iterations that start at the residual which
        the solve left, with ||d|| = hinge_radius ||x||: what keeps the trained map contracting
        about its fixed point.
    jacobian: weight of `deqlab.equilibrium.jacobian_penalty`, the mean squared singular value of
        the map's Jacobian there: it speaks of all directions at once, where the hinge looks for the
        worst.
    clip: largest gradient norm. seed: of weights and draws. device: auto, cpu or cuda. precision:
        of the network's convolutions.
    """

    model: str = "de-grad"
    options: dict[str, Any] = field(default_factory=dict)
    acceleration: tuple[float, ...] = (4, 8)
    center_fraction: float | None = None
    mask: tuple[str, ...] = ("random",)
    noise: float = 0.01
    max_pixels: int = 16384
    loss: str = "l1"
    pretrain_epochs: int = 2
    epochs: int = 10
    steps_per_epoch: int = 100
    batch_size: int = 2
    learning_rate: float = 5e-4
    solver: str = "anderson"
    tolerance: float = 1e-3
    max_evaluations: int = 40
    gradient: str = "jacobian-free"
    backward_evaluations: int = 8
    hinge: float = 1.0
    hinge_bound: float = 0.9
    hinge_iterations: int = 4
    hinge_radius: float = 0.05
    jacobian: float = 0.0
    clip: float = 1.0
    seed: int = 0
    device: str = "auto"
    precision: str = "32"

    def __post_init__(self) -> None:
        if not learned(self.model):
            raise InputError(
                f"model: {self.model!r} has nothing to train; one of {', '.join(LEARNED)} needed"
            )
        for name, valid in CHOICES.items():
            given = getattr(self, name)
            for value in given if isinstance(given, tuple) else (given,):
                if value not in valid:
                    raise InputError(f"{name}: {value!r} given, one of {', '.join(valid)} needed")
        for name in (
            "epochs",
            "steps_per_epoch",
            "batch_size",
            "max_evaluations",
            "backward_evaluations",
            "max_pixels",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} given, at least 1 needed")
        for name in (
            "pretrain_epochs",
            "noise",
            "hinge",
            "hinge_iterations",
            "jacobian",
            "tolerance",
        ):
            if getattr(self, name) < 0:
                raise InputError(f"{name}: {getattr(self, name)} given, a number >= 0 needed")
        for name in ("learning_rate", "clip", "hinge_bound", "hinge_radius"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: {getattr(self, name)} given, a number > 0 needed")

    def build(self):
        """The model with fresh weights, its solver and its gradient rule set."""
        model = create(self.model, **self.options)
        model.solver = SOLVERS[self.solver]
        model.tolerance, model.max_evaluations = self.tolerance, self.max_evaluations
        if self.gradient == "implicit":
            model.gradient = ImplicitGradient(
                tolerance=self.tolerance, max_evaluations=self.backward_evaluations
            )
        else:
            model.gradient = GRADIENTS[self.gradient]()
        return model

    def card(self) -> dict[str, Any]:
        """All fields as plain JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "TrainingConfig":
        """The inverse of `card`."""
        names = {f.name for f in fields(cls)}
        return cls(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in card.items()
                if key in names
            }
        )


def device_by_name(name: str) -> torch.device:
    """The device "auto" (a GPU where there is one), "cpu" or "cuda"."""
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "device: 'cuda' given, but no CUDA device is to be had; choose cpu or auto"
        )
    return torch.device(
        "cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu"
    )
