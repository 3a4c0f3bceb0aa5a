"""Small files of every format, each written by its own library."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest
import twixtools
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy.io import savemat

from deqlab.data import write_noncartesian, write_volume

ROWS, COLUMNS = 16, 20
SPACE = (
    "<matrixSize><x>{}</x><y>20</y><z>1</z></matrixSize>"
    "<fieldOfView_mm><x>{}</x><y>200</y><z>5</z></fieldOfView_mm>"
)
HEADER = (
    '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    "<encodedSpace>{}</encodedSpace><reconSpace>{}</reconSpace><trajectory>cartesian</trajectory>"
    "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>{}</maximum>"
    "<center>{}</center></kspace_encoding_step_1></encodingLimits></encoding></ismrmrdHeader>"
)
PROTOCOL = b'<XProtocol> { <ParamMap.""> { <ParamString."ProtocolName"> { "t2" } } }\n'


def echo(*shape: int) -> np.ndarray:
    """k-space of noise with a strong echo in its middle, complex64."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((*shape, 2)) @ (1, 1j)).astype(np.complex64)
    values[..., shape[-2] // 2, shape[-1] // 2] += 60
    return values


@dataclass(frozen=True)
class Readout:
    """One readout: complex (coil, samples), its line and slice, and names of flags."""

    data: np.ndarray
    line: int = 0
    number: int = 0
    flags: tuple[str, ...] = ()
    centre: int = ROWS // 2
    counters: dict[str, int] = field(default_factory=dict)


def readouts(kspace: np.ndarray) -> list[Readout]:
    """Those of k-space (slices, coils, rows, columns), line after line."""
    return [
        Readout(np.ascontiguousarray(kspace[number, :, :, line]), line, number)
        for number in range(len(kspace))
        for line in range(kspace.shape[-1])
    ]


def write_ismrmrd(
    path: Path,
    lines: list[Readout],
    rows: int = ROWS,
    oversampled: int = 1,
    limits: tuple[int, int] = (COLUMNS - 1, COLUMNS // 2),
) -> Path:
    """As ismrmrd writes it. rows: of the encoded matrix. limits: (maximum, centre) of lines."""
    encoded, recon = SPACE.format(rows, 160 * oversampled), SPACE.format(rows // oversampled, 160)
    file = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    file.write_xml_header(HEADER.format(encoded, recon, *limits).encode())
    for line in lines:
        one = ismrmrd.Acquisition.from_array(np.ascontiguousarray(line.data, np.complex64))
        one.idx.kspace_encode_step_1, one.idx.slice = line.line, line.number
        one.center_sample = line.centre
        for flag in line.flags:
            one.set_flag(getattr(ismrmrd, flag))
        for name, value in line.counters.items():
            setattr(one.idx, name, value)
        file.append_acquisition(one)
    file.close()
    return path


def write_twix(path: Path, lines: list[Readout]) -> Path:
    """As twixtools writes it, with a header of a few words."""
    blocks = []
    for line in lines:
        block = twixtools.mdb.Mdb_local(np.asarray(line.data, np.complex64))
        block.mdh.Counter.Lin, block.mdh.Counter.Sli = line.line, line.number
        block.mdh.CenterCol, block.mdh.CenterLin = line.centre, COLUMNS // 2
        for name, value in line.counters.items():
            setattr(block.mdh.Counter, name, value)
        for flag in line.flags:
            block.add_flag(flag)
        blocks.append(block)
    end = twixtools.mdb.Mdb_local()
    end.add_flag("ACQEND")
    header = b"Config\0" + len(PROTOCOL).to_bytes(4, "little") + PROTOCOL
    length = -(-(len(header) + 8) // 32) * 32
    header = length.to_bytes(4, "little") + (1).to_bytes(4, "little") + header
    scan = {"hdr_str": np.frombuffer(header.ljust(length, b"\0"), "S1"), "mdb": [*blocks, end]}
    with contextlib.redirect_stdout(io.StringIO()):
        twixtools.write_twix(scan, str(path))
    return path


def write_dicom(path: Path, frames: np.ndarray, **more: Any) -> Path:
    """As pydicom writes it: uint16 (frames, rows, columns), with a name that must not be read."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    file = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    file.SOPClassUID, file.SOPInstanceUID = MRImageStorage, meta.MediaStorageSOPInstanceUID
    file.PatientName, file.StudyDate = "Doe^Jane", "20240229"
    file.NumberOfFrames, file.Rows, file.Columns = frames.shape
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
    file.PixelSpacing, file.SliceThickness = [1.5, 1.25], 4
    for name, value in more.items():
        setattr(file, name, value)
    file.PixelData = frames.astype(np.uint16).tobytes()
    file.save_as(path, enforce_file_format=True)
    return path


def _trajectory(path: Path) -> None:
    angle = np.arange(8)[:, None] * np.pi / 8
    radius = (np.arange(16) - 8) / 16
    places = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], -1).reshape(-1, 2)
    samples = np.exp(-40 * (places**2).sum(-1)) * np.ones((1, 2, 1), np.complex64)
    write_noncartesian(path, samples, places, (16, 16))


def _hdf5(path: Path, kspace: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["kspace"] = kspace


def _calgary(path: Path) -> None:
    values = np.fft.ifftshift(echo(4, 3, 16, 20), (2, 3)).transpose(0, 2, 3, 1)
    _hdf5(path, np.stack([values.real, values.imag], -1).reshape(4, 16, 20, 6))


def _matlab_73(path: Path) -> None:
    parts = np.empty((3, 20, 16), [("real", "f4"), ("imag", "f4")])
    data = echo(3, 16, 20).swapaxes(1, 2)
    parts["real"], parts["imag"] = data.real, data.imag
    with h5py.File(path, "w", userblock_size=512) as file:
        file["k"] = parts
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


def _bart(path: Path) -> None:
    path.with_suffix(".hdr").write_text("# Dimensions\n16 20 1 3 1 1 1 1 1 1 1 1 1 2\n")
    echo(2, 3, 16, 20).transpose(2, 3, 1, 0).flatten("F").tofile(path)


def _nifti(path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(abs(echo(9, 8, 2)), np.eye(4)), path)


K = (2, 3, ROWS, COLUMNS)
FILES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "fastmri": ("a.h5", lambda path: write_volume(path, echo(*K), "AXT2", (16, 18))),
    "trajectory": ("a.h5", _trajectory),
    "skm-tea": ("a.h5", lambda path: _hdf5(path, echo(2, 2, *K[1:]).transpose(0, 3, 4, 1, 2))),
    "calgary-campinas": ("a.h5", _calgary),
    "matlab-73": ("a.mat", _matlab_73),
    "matlab": ("a.mat", lambda path: savemat(path, {"k": echo(*K[1:])})),
    "numpy": ("a.npy", lambda path: np.save(path, echo(*K))),
    "numpy-zip": ("a.npz", lambda path: np.savez_compressed(path, k=echo(*K))),
    "bart": ("a.cfl", _bart),
    "nifti": ("a.nii", _nifti),
    "nifti-packed": ("a.nii.gz", _nifti),
    "dicom": ("a.dcm", lambda path: write_dicom(path, 9 * abs(echo(2, 16, 20)))),
    "ismrmrd": ("a.h5", lambda path: write_ismrmrd(path, readouts(echo(*K)))),
    "twix": ("a.dat", lambda path: write_twix(path, readouts(echo(*K)))),
}


@pytest.fixture
def small_file(tmp_path: Path) -> Callable[[str], Path]:
    """`small_file(name)` is a new file of one of `FILES`."""

    def write(name: str) -> Path:
        file, save = FILES[name]
        save(tmp_path / file)
        return tmp_path / file

    return write


@pytest.fixture
def writers() -> SimpleNamespace:
    """What writes files of readouts and of images: `twix`, `ismrmrd`, `dicom`, and their parts."""
    return SimpleNamespace(
        twix=write_twix,
        ismrmrd=write_ismrmrd,
        dicom=write_dicom,
        readouts=readouts,
        Readout=Readout,
        echo=echo,
    )
