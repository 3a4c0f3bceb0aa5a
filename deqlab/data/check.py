"""Every defect of a fastMRI file in plain words, not only the first.

The reader stops at the first thing it cannot use; `check` goes on, reads every sample and adds what
the reader lets pass but a study should know: a target that its k-space does not give, samples
outside the mask, columns that hold only zeros.
"""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.formats.fastmri import FastMRI
from deqlab.data.formats.fastmri_fields import kspace_shape, read_header, read_mask, target_facts
from deqlab.data.formats.hdf5 import dataset, number_attribute, opened, read, text_attribute
from deqlab.data.formats.ismrmrd_header import Header
from deqlab.data.formats.protocol import Format
from deqlab.data.formats.registry import format_of
from deqlab.data.formats.samples import in_unit_range, peak, root_sum_of_squares
from deqlab.data.prepare.on_grid import calibration

# Relative to the target's peak. fastMRI's own targets agree with their k-space to float32, 1e-6.
TARGET_TOLERANCE = 1e-3
TARGETS = ("reconstruction_rss", "reconstruction_esc")
FIELDS = ("kspace", "mask", "ismrmrd_header", *TARGETS)


def check(path: str | Path) -> list[str]:
    """All defects of the file `path`, one sentence each without its name; empty for a sound file.

    Reads the whole file, one slice at a time. Raises nothing for a bad file.
    """
    path = Path(path)
    found: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeqlabWarning)
            kind = format_of(path)
            if isinstance(kind, FastMRI):
                with opened(path) as file:
                    _check_file(file, path, found)
            else:
                _check_volume(kind, path, found)
    except InputError as error:
        _note(found, error, path)
    except (OSError, RuntimeError, KeyError) as error:  # HDF5's own, from a damaged structure
        found.append(f"damaged or truncated HDF5 structure ({' '.join(str(error).split())[:100]})")
    return found


def _check_volume(kind: Format, path: Path, found: list[str]) -> None:
    """The first defect of a file in any format, or the slices whose samples or target betray
    one.
    """
    volume = kind.open(path)
    bad, zero = [], []
    for index in range(volume.slices):
        try:
            samples = volume.kspace(index)
        except InputError as error:
            if "NaN" not in str(error):
                raise
            bad.append(index)
            continue
        if not samples.any():
            zero.append(index)
        try:
            volume.target(index)
        except InputError as error:
            _note(found, error, path)
    _note_slices(found, bad, "kspace holds NaN or infinite samples in")
    _note_slices(found, zero, "kspace holds only zeros in")


def _check_file(file: h5py.File, path: Path, found: list[str]) -> None:
    def attempt(question: Callable[..., Any], *arguments: Any) -> Any:
        """The answer, or None with the refusal noted."""
        try:
            return question(file, *arguments)
        except InputError as error:
            _note(found, error, path)
            return None

    facts = attempt(kspace_shape, path)
    header = attempt(read_header, path)
    if "ismrmrd_header" not in file.keys():
        found.append("no ismrmrd_header: the matrix to show and the acquired columns are unknown")
    contrast = attempt(text_attribute, "acquisition", path)
    if contrast is None and "acquisition" not in file.attrs:
        found.append("no attribute acquisition: the contrast is unknown")
    maximum = attempt(number_attribute, "max", path)
    attempt(number_attribute, "norm", path)
    attempt(text_attribute, "patient_id", path)
    _check_links(file, path, found)
    if facts is None:
        return

    shape, multicoil = facts
    mask = attempt(read_mask, path, shape)
    target_name, target_shape = attempt(target_facts, path, shape, multicoil) or (None, None)
    if (
        mask is None
        and target_name is None
        and not any(name in file.keys() for name in ("mask", *TARGETS))
    ):
        found.append(
            "neither a mask nor a target (reconstruction_rss or reconstruction_esc): taken as fully"
            " sampled"
        )
    if mask is not None and target_name is not None:
        found.append(
            f"both a mask and {target_name}: a masked file has no target, so it is not used"
        )
    acquired = _check_header(header, shape, target_shape, path, found)
    if mask is not None and shape[1] > 1:
        _check_calibration(mask, acquired, path, found)
    _check_samples(file, path, shape, mask, acquired, target_name, multicoil, maximum, found)


def _check_links(file: h5py.File, path: Path, found: list[str]) -> None:
    for name in file.keys():
        if name in FIELDS:
            continue  # their own reading refuses them
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            found.append(f"{name} is a link; nothing in a fastMRI file is")


def _check_header(
    header: Header | None, shape: tuple, target: tuple | None, path: Path, found: list[str]
) -> tuple[int, int]:
    rows, columns = shape[-2:]
    if header is None:
        return 0, columns
    if header.encoded != (rows, columns):
        found.append(
            f"ismrmrd_header: encodedSpace {_times(header.encoded)} differs from kspace"
            f" {rows}x{columns}; the padding it states is not used"
        )
    if header.center is None:
        found.append(
            "ismrmrd_header: no encodingLimits of kspace_encoding_step_1: every column is taken as"
            " acquired"
        )
    if target and header.recon != tuple(target):
        found.append(
            f"ismrmrd_header: reconSpace {_times(header.recon)} differs from the target's"
            f" {_times(target)}"
        )
    elif header.recon[0] > rows or header.recon[1] > columns:
        found.append(
            f"ismrmrd_header: reconSpace {_times(header.recon)} is larger than kspace"
            f" {rows}x{columns}; it is cut to that"
        )
    try:
        return header.acquired(columns)
    except InputError as error:
        _note(found, error, path)
        return 0, columns


def _check_calibration(
    mask: np.ndarray, acquired: tuple[int, int], path: Path, found: list[str]
) -> None:
    inside = torch.from_numpy(mask.copy())
    inside[..., : acquired[0]] = False
    inside[..., acquired[1] :] = False
    try:
        calibration(inside)
    except InputError as error:
        _note(found, error, path)


def _check_samples(
    file: h5py.File,
    path: Path,
    shape: tuple[int, int, int, int],
    mask: np.ndarray | None,
    acquired: tuple[int, int],
    target_name: str | None,
    multicoil: bool,
    maximum: float | None,
    found: list[str],
) -> None:
    """Reads every slice and notes what its samples and its target betray."""
    data = dataset(file, "kspace", path)
    keep = np.zeros(shape[-1], bool)
    keep[slice(*acquired)] = True
    outside, bad, zero, wrong, holes, largest = [], [], [], [], [], 0.0
    for index in range(shape[0]):
        try:
            samples = read(data, path, index).reshape(shape[1:])
            image = (
                None if target_name is None else read(dataset(file, target_name, path), path, index)
            )
        except InputError as error:
            _note(found, error, path)
            break
        image = None if image is None else image.astype(np.float64)
        if image is not None and (not np.isfinite(image).all() or (image < 0).any()):
            found.append(
                f"{target_name} slice {index}: NaN, infinite or negative values; magnitudes needed"
            )
            image = None
        if image is not None:
            largest = max(largest, float(image.max()))
        if not math.isfinite(peak(samples)):
            bad.append(index)
            continue
        samples, unit = in_unit_range(samples)
        if not samples.any():
            zero.append(index)
            continue
        measured = keep if mask is None else keep & mask
        if np.where(measured, 0, samples).any():
            outside.append(index)
        if mask is None and not samples[..., keep].any(axis=(0, 1)).all():
            holes.append(index)
        # Only the coils' own root-sum-of-squares can be recomputed: a single coil's rss target is
        # of others.
        own_target = mask is None and (multicoil or target_name == "reconstruction_esc")
        if image is None or not own_target:
            continue
        if image.shape[0] <= shape[-2] and image.shape[1] <= shape[-1]:
            own = root_sum_of_squares(samples[None], image.shape)[0].astype(np.float64) * unit
            if np.abs(own - image).max() > TARGET_TOLERANCE * max(image.max(), own.max()):
                wrong.append(index)

    _note_slices(found, bad, "kspace holds NaN or infinite samples in")
    _note_slices(found, zero, "kspace holds only zeros in")
    place = "acquired columns" if mask is None else "mask"
    _note_slices(found, outside, f"kspace holds samples outside the {place} in")
    _note_slices(
        found, holes, "whole columns of zeros, as if undersampled, but no `mask` says so, in"
    )
    _note_slices(
        found, wrong, f"{target_name} is not the root-sum-of-squares of the coil images in"
    )
    if maximum is not None and largest and not math.isclose(maximum, largest, rel_tol=1e-4):
        found.append(
            f"attribute max is {maximum:.6g}, but the largest value of {target_name} is"
            f" {largest:.6g}"
        )


def _note_slices(found: list[str], slices: list[int], what: str) -> None:
    if slices:
        names = ", ".join(map(str, slices[:8])) + (
            f" and {len(slices) - 8} more" if len(slices) > 8 else ""
        )
        found.append(f"{what} slice{'s' if len(slices) > 1 else ''} {names}")


def _note(found: list[str], error: InputError, path: Path) -> None:
    found.append(str(error).removeprefix(f"{path}: "))


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
