"""Roads by which a learned prior may deal with the phase of scans, and how their networks learn.

All networks are Gaussian denoisers that are told of the level, of about as many parameters, trained
for as many steps on the same draws. Those of roads that turn an image before the network sees it
learn from images that are turned by their own true phase, but for a smooth error, as a phase map
has one.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deqlab.data.sample import Sample
from deqlab.data.truth import KnownTruth
from deqlab.data.varied.anatomies import AnatomyOptions
from deqlab.data.varied.draws import Varied, VariedOptions
from deqlab.data.varied.varied_phase import smooth_field
from deqlab.networks import DENOISERS
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad
from deqlab.recon.registry import METHODS
from deqlab.signal.transforms.fourier import fft2c
from deqlab.training.config import TrainingConfig
from deqlab.training.objectives.denoising import Denoising
from deqlab.training.trainer import train
from deqlab.training.varied_draws import VariedDraws

# Radians of the smooth error of a phase map at most, and the stream of random numbers it is from.
ERROR, ERRORS = 0.5, 9


@dataclass(frozen=True)
class Road:
    """method: the equilibrium, by its name. network: the denoiser, by its name. widths: those that
    make about 0.2 million parameters of it. turned: whether the network is shown turned images.
    """

    method: str
    network: str
    widths: tuple[int, ...]
    turned: bool = False


PLAIN = (24, 48, 56)
ROADS = {
    "plain": Road("de-grad-measured", "told-unet", PLAIN),
    "local": Road("de-grad-measured", "demodulated-unet", PLAIN),
    "modulus": Road("de-grad-measured", "modulus-unet", (24, 40, 48)),
    "joint": Road("de-grad-joint", "told-unet", PLAIN, turned=True),
    "reference": Road("de-grad-referenced", "told-unet", PLAIN, turned=True),
}


@dataclass(frozen=True)
class Training:
    """How much is learned. steps: a multiple of `epoch`, after which a checkpoint is written.
    widths: of all networks, None for those of each road. batch, window: images in a step and pixels
    along their sides. rate: of learning, at its highest.
    """

    steps: int = 600
    epoch: int = 50
    batch: int = 8
    window: int = 96
    rate: float = 3e-3
    precision: str = "32"
    seed: int = 0
    widths: tuple[int, ...] | None = None
    anatomy: AnatomyOptions = AnatomyOptions()

    def varied(self, turned: bool = False) -> Varied:
        """Where windows come from."""
        chosen = VariedOptions(anatomy=self.anatomy, window=self.window)
        return (PhaseZero if turned else Varied)(chosen)

    def config(self, road: Road) -> TrainingConfig:
        """That of the road's network; the equilibrium around it takes no part."""
        network = DENOISERS.options(road.network)(widths=self.widths or road.widths)
        return TrainingConfig(
            model=MeasuredDEGrad.Options(denoiser=network),
            objective=Denoising(relative=True),
            epochs=self.steps // self.epoch,
            steps_per_epoch=self.epoch,
            batch_size=self.batch,
            learning_rate=self.rate,
            warm_up=min(50, self.steps // 10),
            average=0.98,
            seed=self.seed,
            device="cpu",
            precision=self.precision,
        )


class PhaseZero(Varied):
    """Draws whose windows are turned by their own true phase: moduli with a smooth error of
    phase.
    """

    def window(self, seed: int, step: int, index: int) -> Sample:
        """As `Varied.window`, turned."""
        sample = super().window(seed, step, index)
        reference = sample.known("reference")
        random = np.random.default_rng([seed, ERRORS, step, index, 4])
        field = smooth_field(random, tuple(reference.shape), int(random.integers(2, 6)))
        image = torch.polar(reference.abs(), random.uniform(0, ERROR) * field)
        truth = KnownTruth(image.abs(), image, 1.0)
        return replace(sample, kspace=fft2c(image)[None], truth=truth)


def learned(road: Road, training: Training, folder: Path | None) -> tuple[nn.Module, float]:
    """The road's denoiser and the seconds that its training took. folder: where runs are kept, each
    under a name of all that decides it, so that one which was interrupted goes on, and one that is
    done is read; None keeps nothing.
    """
    config, varied = training.config(road), training.varied(road.turned)
    facts = [config.card(), repr(varied.options), road.turned]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    kept = None if folder is None else folder / f"{road.network}-{digest}"
    done = train(config, VariedDraws(varied, config), kept, progress=False)
    denoiser: Any = done.model.denoiser
    return denoiser.requires_grad_(False), done.seconds


def equilibrium(road: Road, denoiser: nn.Module) -> MeasuredDEGrad:
    """The road's method around the trained denoiser; its level and weight are for `set_rule`."""
    found = METHODS.make(road.method, denoiser=denoiser, level_powers=(0.0, 0.0))
    assert isinstance(found, MeasuredDEGrad)
    return found.eval().requires_grad_(False)


def set_rule(method: MeasuredDEGrad, level: float, weight: float) -> None:
    """Tell the method its level, relative to max |A^H y|, and its weight, whatever is measured."""
    method.log_level.fill_(float(np.log(level)))
    method.log_weight.fill_(float(np.log(weight)))
