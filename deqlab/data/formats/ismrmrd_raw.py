"""Raw data in the ISMRM raw data format: readouts with their headers in HDF5, and an XML header.

Read by h5py, which leaves readouts that are not asked for alone and follows no link. Noise scans
whiten the coils; lines for the calibration of parallel imaging count as measured; navigators, phase
correction and the like are left out and said so.
Source: S. J. Inati et al., ISMRM Raw data format: a proposed standard for MRI raw datasets, Magn.
Reson. Med. 77 (2017); flags of ismrmrd.h.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import numpy as np
from defusedxml.ElementTree import fromstring

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.data.formats.hdf5 import dataset, names_in, opened, read, stamp
from deqlab.data.formats.ismrmrd_header import NAMESPACE, parse_header
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.raw_lines import Frame, Lines, numbered, raw_volume, whitening

ACQUISITIONS, XML = "dataset/data", "dataset/xml"
NOISE, CALIBRATION, REVERSE = 1 << 18, 1 << 19, 1 << 21
# Not of the image: navigation, phase correction, feedback, dummies, corrections of the coils.
OTHER = sum(1 << bit for bit in (22, 23, 25, 26, 27, 28, 29, 30))
MOST = 10_000_000  # readouts


@options
class IsmrmrdRaw:
    """HDF5 files with a group `dataset` of `data` and `xml`."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # .h5 is of fastMRI and others
    repetitions: Literal["all", "first"] = option("all", "all make slices, or the first alone")
    noise_scan: Literal["whiten", "leave"] = option("whiten", "coils by the noise scan of a file")
    oversampling: Literal["remove", "keep"] = option("remove", "of the readout, or keep it")

    def recognises(self, path: Path) -> bool:
        """Whether `path` is HDF5 with a group of readouts."""
        if "dataset" not in (names_in(path) or ()):
            return False
        with opened(path) as file:
            group = file.get("dataset", getlink=True)
            found = isinstance(group, h5py.HardLink) and isinstance(file["dataset"], h5py.Group)
            return found and {"data", "xml"} <= set(file["dataset"].keys())

    def open(self, path: str | Path) -> Volume:
        """The facts of the file, from the headers of its readouts; InputError for what does not
        fit.
        """
        path = Path(path)
        return _open(path, self, *stamp(path))


@lru_cache(maxsize=16)
def _open(path: Path, told: IsmrmrdRaw, time: int, size: int) -> Volume:
    with opened(path) as file:
        text = read(dataset(file, XML, path), path).reshape(-1)[0]
        data = dataset(file, ACQUISITIONS, path)
        if data.dtype.names is None or not {"head", "data", "traj"} <= set(data.dtype.names):
            raise InputError(f"{path}: {ACQUISITIONS} holds no readouts of this format")
        if not 0 < len(data) <= MOST:
            raise InputError(f"{path}: {len(data)} readouts; 1 to {MOST} needed")
        heads = np.asarray(data.fields("head")[:])
    try:
        header = parse_header(text)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    root = fromstring(text, forbid_dtd=True)
    if (kind := _text(root, "encoding/trajectory") or "cartesian").lower() != "cartesian":
        raise InputError(f"{path}: its trajectory is {kind}; cartesian needed so far")

    flags, index, notes = heads["flags"].astype(np.uint64), heads["idx"], []
    noisy = (flags & np.uint64(NOISE)) != 0
    other = ~noisy & ((flags & np.uint64(OTHER)) != 0)
    elsewhere = ~noisy & ~other & (heads["encoding_space_ref"] != 0)
    keep = ~noisy & ~other & ~elsewhere
    if told.repetitions == "first":
        keep &= index["repetition"] == index["repetition"][keep].min(initial=0)
    for what, out in (
        ("readouts that are no image: navigators, phase correction, dummies", other),
        ("readouts of another encoding space, such as a separate calibration scan", elsewhere),
    ):
        if out.any():
            notes.append(f"left out: {out.sum()} {what}")
    # A line that is measured for calibration alone gives way to the same line of the image.
    chosen = np.flatnonzero(keep)
    if not len(chosen):
        raise InputError(f"{path}: holds no readout of an image")
    sizes, coils = heads["number_of_samples"], heads["active_channels"]
    usual = np.bincount(sizes[chosen]).argmax()
    if (sizes[chosen] != usual).any():
        odd = int((sizes[chosen] != usual).sum())
        notes.append(f"left out: {odd} readouts that have not {usual} samples as most have")
        chosen = chosen[sizes[chosen] == usual]
    chosen = _without_doubles(chosen, flags, index)
    own, stacks = index[chosen], ("repetition", "contrast", "phase", "set", "slice")
    for name in stacks[:4]:
        if (several := len(np.unique(own[name]))) > 1:
            notes.append(f"{several} {name}s follow one another as slices")
    if (several := len(np.unique(own["average"]))) > 1:
        notes.append(f"{several} averages are averaged")
    lines = Lines(
        number=chosen,
        line=own["kspace_encode_step_1"].astype(int),
        partition=own["kspace_encode_step_2"].astype(int),
        stack=numbered(*(own[name].astype(int) for name in stacks)),
        centre=heads["center_sample"][chosen].astype(int),
        reverse=(flags[chosen] & np.uint64(REVERSE)) != 0,
        before=heads["discard_pre"][chosen].astype(int),
        after=heads["discard_post"][chosen].astype(int),
    )
    if lines.reverse.any():
        notes.append("readouts in both directions: no ghost of theirs is corrected")
    frame = _frame(root, header.encoded, lines, int(coils[chosen[0]]), int(usual), told)
    if frame.factor > 1:
        notes.append(f"oversampling of the readout by {frame.factor} removed")
    readouts = partial(_readouts, path, size)
    covariance = whiten = None
    if noisy.any():
        scans = list(readouts(np.flatnonzero(noisy).tolist()))
        noise = np.concatenate([scan for scan in scans if len(scan) == frame.coils], 1)
        covariance, whiten = whitening(noise.astype(np.complex128))
        if told.noise_scan == "leave":
            whiten = None
        notes.append(
            f"coils {'not ' if whiten is None else ''}whitened by the {noisy.sum()} noise scans"
        )
    contrast = _text(root, "measurementInformation/protocolName") or "unknown"
    return raw_volume(
        path,
        lines,
        frame,
        readouts,
        notes,
        whiten=whiten,
        noise=covariance,
        voxel=header.voxel,
        contrast=" ".join(contrast.split())[:64],
    )


def _without_doubles(chosen: np.ndarray, flags: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The readouts without those for calibration alone at places that the image measures too."""
    alone = (flags[chosen] & np.uint64(CALIBRATION)) != 0
    if not alone.any() or alone.all():
        return chosen
    names = [name for name in index.dtype.names or () if name not in ("average", "segment", "user")]
    place = numbered(*(index[name][chosen].astype(int) for name in names))
    return chosen[~(alone & np.isin(place, place[~alone]))]


def _frame(
    root: Any, encoded: tuple[int, int], lines: Lines, coils: int, samples: int, told: IsmrmrdRaw
) -> Frame:
    spaces = ("encodedSpace", "reconSpace")
    fields = [_number(root, f"encoding/{space}/fieldOfView_mm/x") for space in spaces]
    ratio = fields[0] / fields[1] if fields[0] and fields[1] else 1.0
    factor = round(ratio) if abs(ratio - round(ratio)) < 0.01 else 1
    depth = int(_number(root, "encoding/encodedSpace/matrixSize/z") or 1)
    if lines.partition.max() == 0:
        depth = 1  # a matrix of several partitions, of which none was encoded, is one slice
    centres = [
        _number(root, f"encoding/encodingLimits/kspace_encoding_step_{step}/center")
        for step in (1, 2)
    ]
    read = max(encoded[0], samples)
    remove = told.oversampling == "remove" and factor > 1 and read % factor == 0
    return Frame(
        coils=coils,
        samples=samples,
        read=read,
        factor=factor if remove else 1,
        columns=encoded[1],
        partitions=depth,
        line=encoded[1] // 2 if centres[0] is None else int(centres[0]),
        plane=depth // 2 if centres[1] is None or depth == 1 else int(centres[1]),
    )


def _readouts(path: Path, size: int, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    with opened(path) as file:
        data = dataset(file, ACQUISITIONS, path)
        for number in numbers:
            entry = read(data, path, int(number))[()]
            coils, samples = (
                int(entry["head"][name]) for name in ("active_channels", "number_of_samples")
            )
            values = np.asarray(entry["data"], np.float32)
            if values.size != 2 * coils * samples:
                raise InputError(
                    f"{path}: readout {number} holds {values.size} numbers; its header says"
                    f" {coils} coils of {samples} complex samples"
                )
            yield values.view(np.complex64).reshape(coils, samples)


def _text(root: Any, place: str) -> str | None:
    for prefix in (f"{{{NAMESPACE}}}", ""):
        found = root.findtext("/".join(prefix + step for step in place.split("/")))
        if found is not None:
            return str(found).strip()
    return None


def _number(root: Any, place: str) -> float | None:
    try:
        return float(_text(root, place) or "none")
    except ValueError:
        return None
