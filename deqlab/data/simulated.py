"""The built-in data set: simulated heads in four contrasts, made once into a cache as
fastMRI-schema files.

Nothing is downloaded. Each volume is one head (`deqlab.signal.scan.phantoms`) in one contrast
(`deqlab.signal.scan.bloch`) seen by a ring of coils, with bias field, smooth phase, complex noise
and readout oversampling, so that a reader has to treat these files exactly like measured ones.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from deqlab.core.atomic import atomic_path
from deqlab.core.cache import cache_folder
from deqlab.core.errors import InputError
from deqlab.data.formats.write_fastmri import write_volume
from deqlab.signal.coils.coil_maps import simulate_coil_maps
from deqlab.signal.scan import phantoms
from deqlab.signal.scan.bloch import (
    InversionRecovery,
    Sequence,
    SpinEcho,
    SpoiledGradientEcho,
    Tissue,
    inversion_null,
)
from deqlab.signal.transforms.crop import center_pad
from deqlab.signal.transforms.fourier import fft2c

SPLITS = ("train", "val", "test")
CONTRASTS = ("AXT1", "AXT2", "AXFLAIR", "AXPD")
# Part of the cache folder's name. Raise it whenever the same configuration would give other bytes
# than before.
VERSION = 2


@dataclass(frozen=True)
class SimulationConfig:
    """What a simulated data set is made of.

    matrix: rows and columns of the square target image. coils: 1 gives single-coil files. slices:
    per volume, spread over the anatomically rich heights. volumes: how many in (train, val, test);
    contrasts take turns, so four volumes hold all of them. noise: standard deviation of the real
    and of the imaginary part of a coil image, relative to the maximum of the noiseless volume; a
    pair is a range from which each volume draws. oversampling: of the readout.
    """

    matrix: int = 128
    coils: int = 4
    slices: int = 16
    volumes: tuple[int, int, int] = (12, 4, 8)
    noise: float | tuple[float, float] = (0.002, 0.01)
    seed: int = 0
    oversampling: int = 2

    @property
    def noise_range(self) -> tuple[float, float]:
        """The two ends of the range from which each volume draws its noise."""
        return self.noise if isinstance(self.noise, tuple) else (self.noise, self.noise)

    def __post_init__(self) -> None:
        for name, least in (
            ("matrix", 16),
            ("coils", 1),
            ("slices", 1),
            ("seed", 0),
            ("oversampling", 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise InputError(
                    f"simulation: {name} is {value!r}; a whole number from {least} on is needed"
                )
        volumes = tuple(self.volumes)
        if len(volumes) != 3 or any(not isinstance(n, int) or n < 0 for n in volumes):
            raise InputError(
                f"simulation: volumes is {volumes!r}; counts (train, val, test) are needed"
            )
        # One form for all spellings, so that equal data have equal configurations.
        object.__setattr__(self, "volumes", volumes)
        try:
            pair = self.noise if isinstance(self.noise, (tuple, list)) else (self.noise, self.noise)
            low, high = map(float, pair)
        except (TypeError, ValueError):
            low, high = 1.0, 0.0
        if not 0 <= low <= high < np.inf:
            raise InputError(
                f"simulation: noise is {self.noise!r}; a number from 0 on or a range is needed"
            )
        object.__setattr__(self, "noise", (low, high))

    def identity(self) -> str:
        """JSON text that two configurations share exactly when their volumes of the same name have
        the same bytes.

        The number of volumes is not in it: a larger set extends a smaller one.
        """
        facts = {name: value for name, value in asdict(self).items() if name != "volumes"}
        return json.dumps({"version": VERSION, **facts}, sort_keys=True)


def make(
    folder: str | Path,
    config: SimulationConfig,
    splits: tuple[str, ...] = SPLITS,
    progress: bool = True,
) -> list[Path]:
    """The files of `splits` in `folder`, made where they are missing: train_000_AXT1.h5,
    train_001_AXT2.h5, ...

    Each file appears whole or not at all, so an interrupted call may simply be repeated. The same
    configuration gives the same bytes. InputError for an unknown split, and for a folder that holds
    another configuration.
    """
    folder = Path(folder)
    unknown = [split for split in splits if split not in SPLITS]
    if unknown:
        raise InputError(f"split: {unknown[0]!r} given; one of {', '.join(SPLITS)} is needed")
    _claim(folder, config)
    plan = [
        (split, index, folder / f"{split}_{index:03d}_{CONTRASTS[index % len(CONTRASTS)]}.h5")
        for split in splits
        for index in range(config.volumes[SPLITS.index(split)])
    ]
    missing = [entry for entry in plan if not entry[2].exists()]
    # None: a bar on a terminal and none in a log or a notebook's output
    silent = None if progress and missing else True
    for split, index, path in tqdm(missing, desc="simulating heads", unit="volume", disable=silent):
        kspace = simulate_volume(config, split, index)
        contrast = CONTRASTS[index % len(CONTRASTS)]
        write_volume(path, kspace, contrast, (config.matrix, config.matrix), patient_id=path.stem)
    return [path for _, _, path in plan]


def builtin(
    split: str,
    config: SimulationConfig = SimulationConfig(),
    cache: str | Path | None = None,
    progress: bool = True,
) -> list[Path]:
    """The files of one split of the built-in set, made at the first call and found in the cache at
    all later ones.

    cache: folder; by default the environment variable DEQLAB_CACHE, else ~/.cache/deqlab.
    """
    root = cache_folder(cache)
    name = (
        f"simulated-{config.matrix}-{hashlib.sha256(config.identity().encode()).hexdigest()[:12]}"
    )
    return make(root / name, config, (split,), progress)


def simulate_volume(config: SimulationConfig, split: str, index: int) -> np.ndarray:
    """Fully sampled k-space of one volume: complex64 (slices, coil, rows, columns), or without coil
    axis for one coil.

    rows = oversampling x matrix, columns = matrix. Depends on the seed, the split and the index and
    on no other volume, so no two volumes share an anatomy or a contrast draw.
    """
    sequence = np.random.SeedSequence([config.seed, SPLITS.index(split), index])
    anatomy, physics, electronics = (np.random.default_rng(child) for child in sequence.spawn(3))
    images = head_images(config, CONTRASTS[index % len(CONTRASTS)], anatomy, physics)

    # The doubled field of view is empty beyond the head: cropping the image back to `matrix` rows
    # loses nothing.
    shape = (config.oversampling * config.matrix, config.matrix)
    maps = simulate_coil_maps(config.coils, shape, int(electronics.integers(2**31)))
    level = electronics.uniform(*config.noise_range) * float(images.abs().max())
    kspace = np.empty((config.slices, config.coils, *shape), np.complex64)
    for measured, image in zip(kspace, images, strict=True):
        noise = electronics.standard_normal((config.coils, *shape, 2), dtype=np.float32)
        # The orthonormal transform of white noise is white noise of the same level: it can be added
        # in k-space.
        measured[:] = fft2c(maps * center_pad(image, shape)).numpy()
        measured += np.float32(level) * noise.view(np.complex64)[..., 0]
    return kspace if config.coils > 1 else kspace[:, 0]


def head_images(
    config: SimulationConfig,
    contrast: str,
    anatomy: np.random.Generator,
    physics: np.random.Generator,
) -> torch.Tensor:
    """Noiseless complex64 images (slices, matrix, matrix) of one head at a small intensity, as raw
    data have.

    contrast: one of CONTRASTS. anatomy, physics: what the head, and what its tissues, the sequence,
    the bias and the phase are drawn from.
    """
    head = phantoms.draw_head(anatomy)
    tissues = phantoms.vary_tissues(physics)
    # Fat is partly suppressed in many protocols, by an amount that the scan decides and not the
    # anatomy.
    suppression = physics.uniform(0.2, 1.0)
    for name in ("fat", "marrow"):
        fat = tissues[name]
        tissues[name] = Tissue(fat.t1, fat.t2, suppression * fat.pd)
    sequence = draw_sequence(contrast, tissues, physics)
    gain = phantoms.bias_field(config.matrix, physics)
    phase = phantoms.smooth_phase(config.matrix, physics)
    low, high = phantoms.RICH_HEIGHTS
    spacing = (high - low) / config.slices
    heights = low + spacing * (np.arange(config.slices) + anatomy.uniform(0.2, 0.8))
    factor = gain * np.exp(1j * phase) * 10 ** physics.uniform(-5, -3)
    images = np.empty((config.slices, config.matrix, config.matrix), np.complex64)
    for image, height in zip(images, heights, strict=True):
        fractions = phantoms.tissue_fractions(head, float(height), config.matrix, anatomy)
        image[:] = phantoms.weighted_image(fractions, sequence, tissues, anatomy) * factor
    return torch.from_numpy(images)


def draw_sequence(
    contrast: str, tissues: dict[str, Tissue], random: np.random.Generator
) -> Sequence:
    """A clinical sequence of this `contrast` (one of CONTRASTS) with times drawn from `random`, in
    ms.
    """
    uniform = random.uniform
    if contrast == "AXT1":
        if random.random() < 0.5:
            return SpinEcho(tr=uniform(400, 650), te=uniform(8, 15))
        return SpoiledGradientEcho(tr=uniform(180, 280), te=uniform(2.5, 5), flip=uniform(65, 80))
    if contrast == "AXT2":
        return SpinEcho(tr=uniform(3500, 6500), te=uniform(85, 120))
    if contrast == "AXFLAIR":
        tr, te = uniform(8500, 10000), uniform(85, 130)
        return InversionRecovery(
            tr, te, ti=inversion_null(tr, te, tissues["csf"].t1) * uniform(0.95, 1.05)
        )
    if contrast == "AXPD":
        return SpinEcho(tr=uniform(2500, 4500), te=uniform(10, 25))
    raise InputError(f"contrast: {contrast!r} given; one of {', '.join(CONTRASTS)} is needed")


def _claim(folder: Path, config: SimulationConfig) -> None:
    """Notes the configuration in `folder`, or makes sure that it is the one noted there."""
    note = folder / "simulation.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not note.exists():
            with atomic_path(note) as temporary:
                temporary.write_text(config.identity() + "\n")
        found = note.read_text().strip()
    except OSError as error:
        raise InputError(f"{folder}: cannot hold the simulated data ({error.strerror})") from None
    if found != config.identity():
        raise InputError(
            f"{note}: this folder holds another simulated set ({found}); choose an empty folder"
        )
