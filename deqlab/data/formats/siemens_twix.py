"""Raw data of Siemens scanners (twix, .dat), from numaris VB, VD and later; read by twixtools.

The last measurement of the file is the scan; noise adjustments of any whiten its coils. Lines for
the calibration of parallel imaging count as measured. Nothing of the header is carried but the
name of the protocol.
"""

import contextlib
import io
import math
import struct
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from deqlab.core.errors import InputError
from deqlab.core.options import option, options
from deqlab.data.formats.hdf5 import stamp
from deqlab.data.formats.optional_library import library
from deqlab.data.formats.protocol import Volume
from deqlab.data.formats.raw_lines import Frame, Lines, numbered, raw_volume, whitening

STACKS = ("cRep", "cEco", "cPhs", "cSet", "cSlc")
NAMES = {"cRep": "repetitions", "cEco": "echoes", "cPhs": "phases", "cSet": "sets"}
MOST_SCANS, LEAST = 64, 128  # measurements of a file, and bytes of a readout's header


@options
class SiemensTwix:
    """Files of the scanner's own raw data."""

    suffixes: ClassVar[tuple[str, ...]] = ()  # .dat is of many
    repetitions: Literal["all", "first"] = option("all", "all make slices, or the first alone")
    noise_scan: Literal["whiten", "leave"] = option("whiten", "coils by the noise scan of a file")
    oversampling: Literal["remove", "keep"] = option("remove", "of the readout, or keep it")

    def recognises(self, path: Path) -> bool:
        """Whether the file begins as such files do: with a table of measurements (VD and later), or
        with the length of a header and the number of its parts (VB), whose first has a name.
        """
        with path.open("rb") as file:
            head = file.read(64)
            size = file.seek(0, 2)
        if len(head) < 64:
            return False
        first, second = struct.unpack("<II", head[:8])
        if first < 10_000 and 1 <= second <= MOST_SCANS:
            start = struct.unpack("<Q", head[16:24])[0]
            return 0 < start < size and start % 512 == 0
        return 32 < first < min(size, 2**28) and 1 <= second <= 64 and head[8:14] == b"Config"

    def open(self, path: str | Path) -> Volume:
        """The facts of the file, from the headers of its readouts; InputError for what does not
        fit.
        """
        path = Path(path)
        return _open(path, self, *stamp(path))


@lru_cache(maxsize=4)
def _measurements(path: Path, time: int, size: int) -> list[Any]:
    twixtools = library("twixtools", path)
    try:
        # It prints as it reads, and warns of what it can do without.
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = list(twixtools.read_twix(str(path), parse_data=False, verbose=False))
            for scan in found:
                scan["mdb"] = _blocks(twixtools.mdb.Mdb, path, size, scan)
    except Exception as error:  # a damaged file makes the library raise errors of many kinds
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"{path}: not a readable twix file, or truncated ({reason})") from None
    if not found or not found[-1].get("mdb"):
        raise InputError(f"{path}: holds no readout; it may be truncated")
    return found


def _blocks(kind: Any, path: Path, size: int, scan: dict[str, Any]) -> list[Any]:
    """The readouts of one measurement, as the library's `kind` reads them.

    The library's own loop goes on forever where a damaged header says the length 0.
    """
    place = scan.get("raidfile_hdr")
    start = 0 if place is None else int(place["off_"])
    # A measurement without a length is the only one, and goes on to the end.
    length = 0 if place is None else int(place["len_"])
    end = min(start + length, size) if length else size
    at, found = start + len(scan["hdr_str"]), []
    with path.open("rb") as file:
        while at + LEAST < end:
            file.seek(at)
            block = kind(file, place is not None)
            if int(block.dma_len) < LEAST:
                raise ValueError(f"a readout of {int(block.dma_len)} bytes at byte {at}")
            at += int(block.dma_len)
            if not block.is_flag_set("SYNCDATA"):
                found.append(block)
            if block.is_flag_set("ACQEND"):
                break
    return found


@lru_cache(maxsize=4)
def _open(path: Path, told: SiemensTwix, time: int, size: int) -> Volume:
    measurements = _measurements(path, time, size)
    blocks, header = measurements[-1]["mdb"], measurements[-1].get("hdr", {})
    if not any(block.is_flag_set("ACQEND") for block in blocks[-1:]) and not any(
        block.is_flag_set("LASTSCANINMEAS") for block in blocks[-8:]
    ):
        raise InputError(f"{path}: ends before its last readout: truncated; copy it again")
    images = [at for at, block in enumerate(blocks) if _of_image(block)]
    notes: list[str] = []
    if told.repetitions == "first" and images:
        first = min(blocks[at].cRep for at in images)
        images = [at for at in images if blocks[at].cRep == first]
    if not images:
        raise InputError(f"{path}: holds no readout of an image")
    other = sum(not _of_image(b) and not b.is_flag_set("ACQEND") for b in blocks)
    kinds = Counter((b.mdh.UsedChannels, b.mdh.SamplesInScan) for b in (blocks[a] for a in images))
    (coils, samples), usual = kinds.most_common(1)[0]
    if usual < len(images):
        notes.append(f"left out: {len(images) - usual} readouts of another length than most")
        images = [
            at
            for at in images
            if (blocks[at].mdh.UsedChannels, blocks[at].mdh.SamplesInScan) == (coils, samples)
        ]
    alone = {at for at in images if blocks[at].is_flag_set("PATREFSCAN")}
    places = {_place(blocks[at]) for at in images if at not in alone}
    images = [at for at in images if at not in alone or _place(blocks[at]) not in places]

    def counters(name: str) -> np.ndarray:
        return np.asarray([getattr(blocks[at], name) for at in images], int)

    for name, word in NAMES.items():
        if (several := len(set(counters(name)))) > 1:
            notes.append(f"{several} {word} follow one another as slices")
    if (several := len(set(counters("cAve")))) > 1:
        notes.append(f"{several} averages are averaged")
    cuts = [blocks[at].mdh.CutOff for at in images]
    lines = Lines(
        number=np.asarray(images),
        line=counters("cLin"),
        partition=counters("cPar"),
        stack=numbered(*(counters(name) for name in STACKS)),
        centre=np.asarray([blocks[at].mdh.CenterCol for at in images], int),
        reverse=np.asarray([blocks[at].is_flag_set("REFLECT") for at in images], bool),
        before=np.asarray([cut.Pre for cut in cuts], int),
        after=np.asarray([cut.Post for cut in cuts], int),
    )
    if lines.reverse.any():
        notes.append("readouts in both directions: no ghost of theirs is corrected")
    frame = _frame(blocks, images, lines, int(coils), int(samples), header, told)
    if frame.factor > 1:
        notes.append(f"oversampling of the readout by {frame.factor} removed")
    covariance, whiten, scans = _noise(measurements, int(coils))
    if scans:
        whiten = whiten if told.noise_scan == "whiten" else None
        notes.append(f"coils {'not ' if whiten is None else ''}whitened by the {scans} noise scans")
    if other > scans:
        notes.append(f"left out: {other - scans} readouts that are no image, such as navigators")
    contrast = str(header.get("Config", {}).get("ProtocolName", "")) or "unknown"
    return raw_volume(
        path,
        lines,
        frame,
        partial(_readouts, path, time, size),
        notes,
        whiten=whiten,
        noise=covariance,
        contrast=" ".join(contrast.split())[:64],
    )


def _of_image(block: Any) -> bool:
    return bool(block.is_image_scan()) and not block.is_flag_set("PHASCOR")


def _place(block: Any) -> tuple[int, ...]:
    return tuple(getattr(block, name) for name in (*STACKS, "cLin", "cPar"))


def _frame(
    blocks: Any,
    images: list[int],
    lines: Lines,
    coils: int,
    samples: int,
    header: dict[str, Any],
    told: SiemensTwix,
) -> Frame:
    """The matrix: twice as many lines as the longer side of the centre has, and no fewer than there
    are. A sequence that does not say where its centre is has it in the middle.
    """
    first = blocks[images[0]].mdh
    centres, lengths = [], []
    for centre, counter in ((first.CenterLin, lines.line), (first.CenterPar, lines.partition)):
        count = int(counter.max()) + 1
        middle = int(centre) or count // 2
        lengths.append(2 * max(middle, count - middle) if count > 1 else 1)
        centres.append(middle if count > 1 else 0)
    # An echo beside the middle of its readout leaves out samples at one end.
    echo = int(np.median(lines.centre)) or samples // 2
    read = samples if abs(echo - samples // 2) < 3 else 2 * max(echo, samples - echo)
    config = header.get("Config", {})
    stated = float(header.get("Dicom", {}).get("flReadoutOSFactor") or 0) or float(
        config.get("ReadoutOversamplingFactor") or 0
    )
    base = float(config.get("BaseResolution") or 0)
    # A header that a sequence of one's own does not keep up to date is not believed.
    honest = "pulseq" not in str(config.get("ProtocolName", "")).lower()
    doubled = honest and read == 2 * base and stated in (0, 2)
    remove = told.oversampling == "remove" and doubled and read % 2 == 0
    return Frame(
        coils=coils,
        samples=samples,
        read=read,
        factor=2 if remove else 1,
        columns=lengths[0],
        partitions=lengths[1],
        line=centres[0],
        plane=centres[1],
    )


def _noise(measurements: list[Any], coils: int) -> tuple[np.ndarray | None, np.ndarray | None, int]:
    """(covariance, whitening matrix, number of scans) of the noise adjustments with these coils."""
    scans = [
        np.asarray(block.data)
        for measurement in measurements
        for block in measurement.get("mdb", [])
        if block.is_flag_set("NOISEADJSCAN") and block.mdh.UsedChannels == coils
    ]
    if not scans:
        return None, None, 0
    return *whitening(np.concatenate(scans, 1).astype(np.complex128)), len(scans)


def _readouts(path: Path, time: int, size: int, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    blocks = _measurements(path, time, size)[-1]["mdb"]
    for number in numbers:
        values = np.asarray(blocks[number].data)
        if values.size == 0 or not math.isfinite(float(abs(values[0, 0]))):
            raise InputError(f"{path}: readout {number} is empty or not finite")
        yield values
