"""Files with flipped bytes, cut or shortened, of every format: what reads them refuses in one line,
or gives samples, and neither hangs nor grows.

DEQLAB_FUZZ names how many variants of each file are tried (default: a few).
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data import open_volume
from deqlab.data.check import check
from deqlab.data.formats.protocol import OffGridVolume

VARIANTS, FIRST = int(os.environ.get("DEQLAB_FUZZ", "12")), int(os.environ.get("DEQLAB_SEED", "0"))
LONGEST = 20.0  # seconds for one variant, on a busy machine
NAMES = (
    "fastmri",
    "trajectory",
    "skm-tea",
    "calgary-campinas",
    "matlab-73",
    "matlab",
    "numpy",
    "numpy-zip",
    "bart",
    "bart header",
    "nifti",
    "nifti-packed",
    "dicom",
    "ismrmrd",
    "twix",
)


def spoilt(whole: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, most often near the beginning, where headers are; or a part cut out."""
    content = bytearray(whole)
    kind = rng.integers(6)
    if kind == 0:
        return bytes(content[: rng.integers(len(content))])
    if kind == 1:
        first, count = rng.integers(len(content)), int(rng.integers(1, 64))
        del content[first : first + count]
        return bytes(content)
    reach = len(content) if kind == 2 else min(len(content), int(rng.choice([64, 512, 4096])))
    for at in rng.integers(reach, size=rng.choice([1, 2, 8])):
        content[at] = rng.choice([0, 255, int(rng.integers(256)), content[at] ^ 1])
    return bytes(content)


def read(path: Path) -> None:
    """All that is read of a file."""
    volume = open_volume(path)
    for index in range(min(volume.slices, 3)):
        volume.kspace(index)
        volume.target(index)
        if isinstance(volume, OffGridVolume):
            volume.trajectory(index)


# A library that gives up leaves its file to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_refused_or_read(small_file: Callable[[str], Path], name: str) -> None:
    path = small_file(name.split()[0])
    spoilt_file = path.with_suffix(".hdr") if name == "bart header" else path
    whole = spoilt_file.read_bytes()
    for seed in range(FIRST, FIRST + VARIANTS):
        spoilt_file.write_bytes(spoilt(whole, np.random.default_rng([seed, NAMES.index(name)])))
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Numbers beyond a type's range are told by numpy before they are refused.
            warnings.simplefilter("ignore", RuntimeWarning)
            warnings.simplefilter("ignore", DeqlabWarning)
            try:
                read(path)
            except InputError as error:
                assert str(path.parent) in str(error) and "\n" not in str(error), (seed, error)
            assert all("\n" not in defect for defect in check(path)), seed
        assert time.monotonic() - started < LONGEST, seed
