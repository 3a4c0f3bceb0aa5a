"""What varied images are made of: slices of simulated heads, and of volumes that a user names.

A slice is the signal of water and that of fat apart, so that their phases can differ.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from deqlab.core.atomic import atomic_path
from deqlab.core.cache import cache_folder, made
from deqlab.core.errors import InputError
from deqlab.core.options import Count, Whole, option, options
from deqlab.data.simulated import CONTRASTS, draw_sequence
from deqlab.signal.scan import phantoms
from deqlab.signal.scan.bloch import Tissue

Pair = np.ndarray  # float16 (2, y, x): the signal of water and that of fat, of peak about 1

# Part of the cached file's name. Raise it whenever the same options would give other slices.
VERSION = 1
# Magnitude images have a floor in air, and slices near the rim of a volume have no anatomy.
FLOOR, RIM, EMPTY = 0.015, (0.22, 0.8), 0.03


@dataclass(frozen=True)
class Anatomies:
    """Slices to draw from; `len` of them."""

    pairs: Sequence[Pair]

    def __len__(self) -> int:
        return len(self.pairs)

    def draw(self, random: np.random.Generator) -> Pair:
        """One of them."""
        return self.pairs[int(random.integers(len(self.pairs)))]


@options
class AnatomyOptions:
    """Which slices there are."""

    heads: Whole = option(80, "simulated heads")
    slices: Count = option(4, "of each simulated head")
    matrix: Count = option(192, "pixels along a side of a slice of a simulated head")
    files: tuple[str, ...] = option(
        (), "volumes of magnitudes, NIfTI; their phase, and so their k-space, is emulated"
    )
    slices_of_file: Count = option(320, "drawn from each file, in all three planes")
    seed: Whole = option(100, "of heads and slices")

    def __post_init__(self) -> None:
        if not self.heads and not self.files:
            raise InputError("heads: 0 given and no files either; one of the two needed")

    def load(self, cache: str | Path | None = None) -> Anatomies:
        """The slices, made at the first call and found in the cache folder at all later ones.

        InputError for a file that is none, before any slice is made.
        """
        paths = [Path(name) for name in self.files]
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path}: no such file; a volume of magnitudes (NIfTI) needed")
        pairs: list[Pair] = []
        for path in paths:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            facts = [content, self.slices_of_file, self.seed]
            pairs += _cached("volume", facts, cache, partial(self._volume, path))
        if self.heads:
            facts = [self.heads, self.slices, self.matrix, self.seed]
            pairs += _cached("heads", facts, cache, self._heads)
        return Anatomies(pairs)

    def _heads(self) -> list[Pair]:
        return [
            pair
            for number in range(self.heads)
            for pair in head_slices(number, self.slices, self.matrix, self.seed)
        ]

    def _volume(self, path: Path) -> list[Pair]:
        return volume_slices(path, self.slices_of_file, self.seed)


def head_slices(number: int, slices: int, matrix: int, seed: int) -> list[Pair]:
    """Axial slices of one simulated head; contrasts take turns with its number."""
    random = np.random.default_rng([seed, number])
    head, tissues = phantoms.draw_head(random), phantoms.vary_tissues(random, 0.15)
    fats = ("fat", "marrow")
    for name in fats:
        fat = tissues[name]
        tissues[name] = Tissue(fat.t1, fat.t2, random.uniform(0.1, 1.0) * fat.pd)
    sequence = draw_sequence(CONTRASTS[number % len(CONTRASTS)], tissues, random)
    pairs = []
    for height in random.uniform(*phantoms.RICH_HEIGHTS, slices):
        fractions = phantoms.tissue_fractions(head, float(height), matrix, random)
        whole = phantoms.weighted_image(fractions, sequence, tissues, random)
        signals = {
            name: part * float(sequence.signal(tissues[name])) for name, part in fractions.items()
        }
        of_fat = sum(signals[name] for name in fats)
        share = np.clip(of_fat / np.maximum(sum(signals.values()), 1e-6), 0, 1)
        pair = np.stack((whole * (1 - share), whole * share)) / whole.max()
        pairs.append(pair.astype(np.float16))
    return pairs


def volume_slices(path: Path, count: int, seed: int) -> list[Pair]:
    """Slices of a volume of magnitudes in all three planes; what is fat in it counts as water.

    InputError for a file that is no such volume.
    """
    volume = _read(path)
    random, pairs = np.random.default_rng([seed, 7]), []
    for _ in range(20 * count):
        axis = int(random.integers(3))
        place = int(random.uniform(*RIM) * volume.shape[axis])
        image = np.take(volume, place, axis=axis).astype(np.float32)
        image = np.clip(image / max(float(np.percentile(image, 99.7)), 1e-12) - FLOOR, 0, 1.3)
        if image.mean() > EMPTY:
            pairs.append(np.stack((image, np.zeros_like(image))).astype(np.float16))
        if len(pairs) == count:
            return pairs
    raise InputError(f"{path}: hardly a slice of it shows anything; a volume of a body part needed")


def _read(path: Path) -> np.ndarray:
    from nilearn.image import load_img  # imported here because it costs more than a second

    try:
        volume = np.asarray(load_img(str(path)).dataobj)
    except Exception as error:  # the reader raises whatever its formats raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: no volume can be read from it ({reason})") from None
    if volume.ndim != 3 or min(volume.shape) < 2 or volume.dtype.kind not in "uif":
        raise InputError(
            f"{path}: {volume.dtype} of shape {volume.shape} given, one volume of magnitudes"
            " (x, y, z) needed"
        )
    if not np.isfinite(volume).all() or volume.min() < 0:
        raise InputError(f"{path}: holds negative or infinite values; magnitudes needed")
    return volume


def _cached(
    what: str, facts: list[Any], cache: str | Path | None, make: Callable[[], list[Pair]]
) -> list[Pair]:
    """The slices that `make` returns, kept as one safetensors file named after the facts."""
    digest = hashlib.sha256(json.dumps([VERSION, *facts]).encode()).hexdigest()[:12]
    path = cache_folder(cache) / "anatomies" / f"{what}-{digest}.safetensors"
    try:
        if path.exists():
            found = load_file(path)
            return [found[name] for name in sorted(found)]
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); remove it") from None
    made(path.parent)
    pairs = make()
    with atomic_path(path) as temporary:
        save_file({f"{index:05d}": pair for index, pair in enumerate(pairs)}, temporary)
    return pairs
