"""Every defect of a file in plain words, not only the first.

A reader stops at the first thing it cannot use; `check` goes on, examines every slice as whatever
opens a file does (`deqlab.data.examine`), and adds what is a defect of the file alone: a header, a
contrast or a target that is missing, or a target that its k-space does not give.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data.examine.examined import ExaminedGridVolume, ExaminedOffGridVolume, examined
from deqlab.data.examine.protocol import Finding, Severity
from deqlab.data.formats.fastmri import FastMRI, FastMRIVolume
from deqlab.data.formats.fastmri_fields import kspace_shape, read_header, read_mask, target_facts
from deqlab.data.formats.hdf5 import dataset, number_attribute, opened, read, text_attribute
from deqlab.data.formats.ismrmrd_header import Header
from deqlab.data.formats.protocol import GridVolume, Volume
from deqlab.data.formats.registry import NOTHING, format_of
from deqlab.data.formats.samples import in_unit_range, peak, root_sum_of_squares
from deqlab.data.prepare.on_grid import acquired_only, calibration

# Relative to the target's peak. fastMRI's own targets agree with their k-space to float32, 1e-6.
TARGET_TOLERANCE = 1e-3
TARGETS = ("reconstruction_rss", "reconstruction_esc")
EMPTY = Finding(Severity.NOTE, "kspace holds only zeros")
FIELDS = ("kspace", "mask", "ismrmrd_header", *TARGETS)


def check(path: str | Path, told: Mapping[str, Any] = NOTHING) -> list[str]:
    """All defects of the file `path`, one sentence each without its name; empty for a sound file.

    told: options of its format. Reads the whole file, one slice at a time. Raises nothing for a bad
    file.
    """
    path = Path(path)
    found: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeqlabWarning)
            kind = format_of(path, told)
            if isinstance(kind, FastMRI):
                with opened(path) as file:
                    _check_fields(file, path, found)
            try:
                volume = kind.open(path)
            except InputError as error:
                _note(found, error, path)
                if isinstance(kind, FastMRI):
                    _check_finite(path, found)
            else:
                _check_slices(volume, found)
    except InputError as error:
        _note(found, error, path)
    except (OSError, RuntimeError, KeyError) as error:  # HDF5's own, from a damaged structure
        found.append(f"damaged or truncated HDF5 structure ({' '.join(str(error).split())[:100]})")
    return found


def _check_finite(path: Path, found: list[str]) -> None:
    """Of a file that cannot be used as it is, the samples alone."""
    with opened(path) as file:
        kspace_shape(file, path)
        data = dataset(file, "kspace", path)
        bad = [i for i in range(len(data)) if not math.isfinite(peak(read(data, path, i)))]
    _note_slices(found, bad, "kspace holds NaN or infinite samples")


def _check_slices(volume: Volume, found: list[str]) -> None:
    """What the facts of a volume in any format, its slices and its targets betray."""
    examination = examined(volume)
    told: dict[Finding, list[int]] = {}
    for finding, index in examination.findings:
        if index is None:
            found.append(finding.told)
    bad: list[int] = []
    known = examination.volume
    if isinstance(known, GridVolume):
        _check_calibration(known, found)
    for index in range(volume.slices):
        try:
            if isinstance(known, (ExaminedGridVolume, ExaminedOffGridVolume)):
                samples = known.placed(index)
                findings = known.findings(index, samples)
            else:
                samples, findings = volume.kspace(index), []
        except InputError as error:
            if "NaN" not in str(error):
                _note(found, error, volume.path)
                break
            bad.append(index)
            continue
        for finding in findings:
            told.setdefault(finding, []).append(index)
        if not samples.any():
            told.setdefault(EMPTY, []).append(index)
        elif not isinstance(volume, FastMRIVolume):
            try:
                volume.target(index)
            except InputError as error:
                _note(found, error, volume.path)
    _note_slices(found, bad, "kspace holds NaN or infinite samples")
    for finding, slices in told.items():
        _note_slices(found, slices, finding.what, finding.advice)
    if isinstance(volume, FastMRIVolume):
        _check_target(volume, bad, found)


def _check_target(volume: FastMRIVolume, bad: list[int], found: list[str]) -> None:
    """What is wrong with the target that a file holds; `bad` slices of k-space are not read."""
    name, wrong, largest = volume.target_name, [], 0.0
    if name is None:
        return
    # Only the coils' own root-sum-of-squares can be recomputed: a single coil's rss target is
    # of others.
    own_target = volume.multicoil or name == "reconstruction_esc"
    for index in range(volume.slices):
        with opened(volume.path) as file:
            image = read(dataset(file, name, volume.path), volume.path, index).astype(np.float64)
        if not np.isfinite(image).all() or (image < 0).any():
            found.append(
                f"{name} slice {index}: NaN, infinite or negative values; magnitudes needed"
            )
            continue
        largest = max(largest, float(image.max()))
        fits = image.shape[0] <= volume.shape[-2] and image.shape[1] <= volume.shape[-1]
        if index in bad or not own_target or not fits:
            continue
        samples, unit = in_unit_range(volume.kspace(index))
        own = root_sum_of_squares(samples[None], image.shape)[0].astype(np.float64) * unit
        if samples.any() and np.abs(own - image).max() > TARGET_TOLERANCE * max(
            image.max(), own.max()
        ):
            wrong.append(index)
    _note_slices(found, wrong, f"{name} is not the root-sum-of-squares of the coil images")
    maximum = volume.stored_maximum
    if maximum is not None and largest and not math.isclose(maximum, largest, rel_tol=1e-4):
        found.append(
            f"attribute max is {maximum:.6g}, but the largest value of {name} is {largest:.6g}"
        )


def _check_fields(file: h5py.File, path: Path, found: list[str]) -> None:
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
    attempt(number_attribute, "max", path)
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
    _check_header(header, shape, target_shape, found)


def _check_links(file: h5py.File, path: Path, found: list[str]) -> None:
    for name in file.keys():
        if name in FIELDS:
            continue  # their own reading refuses them
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            found.append(f"{name} is a link; nothing in a fastMRI file is")


def _check_header(
    header: Header | None, shape: tuple, target: tuple | None, found: list[str]
) -> None:
    rows, columns = shape[-2:]
    if header is None:
        return
    missing = header.padding(rows, columns)
    if any(map(any, missing)):
        found.append(
            f"ismrmrd_header: encodedSpace {_times(header.encoded)} differs from kspace"
            f" {rows}x{columns}; the lines that are left out are zeros where its limits place them"
        )
        rows, columns = header.encoded
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


def _check_calibration(volume: GridVolume, found: list[str]) -> None:
    """Several coils need lines about the centre that maps can be estimated from."""
    if volume.mask is None or volume.shape[1] == 1:
        return
    try:
        calibration(acquired_only(torch.from_numpy(volume.mask.copy()), volume))
    except InputError as error:
        _note(found, error, volume.path)


def _note_slices(found: list[str], slices: list[int], what: str, advice: str = "") -> None:
    if slices:
        names = ", ".join(map(str, slices[:8])) + (
            f" and {len(slices) - 8} more" if len(slices) > 8 else ""
        )
        told = f"{what} in slice{'s' if len(slices) > 1 else ''} {names}"
        found.append(f"{told}; {advice}" if advice else told)


def _note(found: list[str], error: InputError, path: Path) -> None:
    told = str(error).removeprefix(f"{path}: ")
    if told not in found:  # what the fields betray stops the reader as well
        found.append(told)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
