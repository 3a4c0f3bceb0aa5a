"""Files that are not what they should be: whatever the shell does with one ends in one line that
names the file and what is wrong, never in a traceback or a half file.
"""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from scipy.io import savemat

Z = np.zeros
Write = Callable[[Path], Path]


def echo(*shape: int) -> np.ndarray:
    """k-space of noise with a strong echo in its middle, complex64."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((*shape, 2)) @ (1, 1j)).astype(np.complex64)
    values[..., shape[-2] // 2, shape[-1] // 2] += 60
    return values


def hdf5(kspace: object = None, change: Callable[[h5py.File], None] | None = None, **more) -> Write:
    def write(folder: Path) -> Path:
        with h5py.File(folder / "odd.h5", "w") as file:
            file["kspace"] = echo(2, 3, 32, 24) if kspace is None else kspace
            for name, value in more.items():
                file[name] = value
            if change is not None:
                change(file)
        return folder / "odd.h5"

    return write


def content(name: str, data: bytes) -> Write:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return write


def array(value: np.ndarray, cut: int = 0) -> Write:
    def write(folder: Path) -> Path:
        np.save(folder / "odd.npy", value, allow_pickle=True)
        whole = (folder / "odd.npy").read_bytes()
        (folder / "odd.npy").write_bytes(whole[: len(whole) - cut])
        return folder / "odd.npy"

    return write


def matlab(cut: int = 0, **variables: object) -> Write:
    def write(folder: Path) -> Path:
        savemat(folder / "odd.mat", variables)
        whole = (folder / "odd.mat").read_bytes()
        (folder / "odd.mat").write_bytes(whole[: len(whole) - cut])
        return folder / "odd.mat"

    return write


def bart(header: str | None, size: int = 3 * 32 * 24 * 8) -> Write:
    def write(folder: Path) -> Path:
        (folder / "odd.cfl").write_bytes(bytes(size))
        if header is not None:
            (folder / "odd.hdr").write_text(header)
        return folder / "odd.cfl"

    return write


def nifti(images: np.ndarray, cut: int = 0, name: str = "odd.nii") -> Write:
    def write(folder: Path) -> Path:
        nibabel.save(nibabel.Nifti1Image(images, np.eye(4)), folder / name)
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) - cut])
        return folder / name

    return write


def off_grid(**changed: object) -> Write:
    def write(folder: Path) -> Path:
        angle = np.arange(12)[:, None] * np.pi / 12
        radius = np.arange(-12, 12)
        positions = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], -1).reshape(-1, 2)
        facts = {"kspace": np.ones((1, 2, 288), np.complex64), "trajectory": positions} | changed
        with h5py.File(folder / "odd.h5", "w") as file:
            file.attrs["matrix"] = facts.pop("matrix", (24, 24))
            if facts.get("field_of_view") is not None:
                file.attrs["field_of_view"] = facts.pop("field_of_view")
            for name, value in facts.items():
                file[name] = value
        return folder / "odd.h5"

    return write


def zipped(**members: bytes) -> Write:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "odd.npz", "w") as file:
            for name, data in members.items():
                file.writestr(f"{name}.npy", data)
        return folder / "odd.npz"

    return write


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "odd.h5")
    return folder / "odd.h5"


def circle(folder: Path) -> Path:
    (folder / "odd.h5").symlink_to("odd.h5")
    return folder / "odd.h5"


def nowhere(folder: Path) -> Path:
    (folder / "odd.h5").symlink_to("gone.h5")
    return folder / "odd.h5"


def linked(file: h5py.File) -> None:
    del file["kspace"]
    file["kspace"] = h5py.ExternalLink("/etc/hostname", "/kspace")


def looped(file: h5py.File) -> None:
    del file["kspace"]
    file["kspace"] = h5py.SoftLink("/kspace")


def elsewhere(file: h5py.File) -> None:
    del file["kspace"]
    file.create_dataset("kspace", (1, 32, 24), np.complex64, external=[("/etc/passwd", 0, 6144)])


def spoilt(value: complex, *shape: int) -> np.ndarray:
    samples = echo(*(shape or (2, 3, 32, 24)))
    samples[(*(-1, 0)[: samples.ndim - 2], 3, 3)] = value
    return samples


def npy_header(text: str) -> bytes:
    line = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line


FORMS = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
PLACES, PARTS = (2, 3, 32, 24), [("real", "f4"), ("imag", "f4")]
FILES: dict[str, tuple[Write, str]] = {
    # HDF5 in fastMRI's schema
    "real k-space": (hdf5(Z((2, 3, 32, 24))), "kspace is float64; complex samples needed"),
    "integers": (hdf5(Z((2, 3, 32, 24), np.int16)), "kspace is int16; complex samples needed"),
    "truth values": (hdf5(Z((2, 3, 32, 24), bool)), "kspace is bool; complex samples needed"),
    "a text": (hdf5("text"), "kspace has shape (); "),
    "MATLAB's numbers": (hdf5(Z(PLACES, PARTS)), "complex samples needed (complex64, or compound"),
    "no slice": (hdf5(Z((0, 3, 32, 24), np.complex64)), "every axis needs at least one sample"),
    "one axis": (hdf5(Z(9, np.complex64)), "kspace has shape (9,)"),
    "nan": (hdf5(spoilt(np.nan)), "kspace slice 1 holds NaN or infinite samples"),
    "infinity": (hdf5(spoilt(np.inf)), "kspace slice 1 holds NaN or infinite samples"),
    "external link": (hdf5(change=linked), "kspace is an external link"),
    "link to itself": (hdf5(change=looped), "kspace is a soft link"),
    "storage elsewhere": (hdf5(change=elsewhere), "kspace takes its data from other files"),
    "long mask": (hdf5(mask=np.ones(25, bool)), "mask has shape (25,)"),
    "grey mask": (hdf5(mask=np.full(24, 0.5)), "mask holds values other than 0 and 1"),
    "negative mask": (hdf5(mask=-np.ones(24)), "mask holds values other than 0 and 1"),
    "counted mask": (hdf5(mask=np.arange(24)), "mask holds values other than 0 and 1"),
    "empty mask": (hdf5(mask=Z(24)), "mask is empty"),
    "nan mask": (hdf5(mask=np.full(24, np.nan)), "mask holds values other than 0 and 1"),
    "mask of rows": (hdf5(mask=np.ones((32, 1), bool)), "mask has shape (32, 1)"),
    "header of nothing": (hdf5(ismrmrd_header=b""), "ismrmrd_header: not well-formed XML"),
    "header of numbers": (hdf5(ismrmrd_header=Z(4)), "one text of XML needed"),
    "no k-space": (hdf5(change=lambda file: file.pop("kspace") and None), "no `kspace`"),
    "nothing": (content("odd.h5", b""), "not a readable HDF5"),
    "prose": (content("odd.h5", b"k-space\n"), "not a readable HDF5"),
    "signature alone": (content("odd.h5", b"\x89HDF\r\n\x1a\n"), "odd.h5: "),
    # NumPy
    "objects": (array(np.array([{}, 1], object)), "objects"),
    "records": (array(Z(4, [("a", "f4")])), "k-space is complex"),
    "real array": (array(Z((3, 32, 24))), "array is float64; k-space is complex"),
    "letters": (array(np.array(["a", "b"])), "k-space is complex"),
    "one number": (array(np.array(1j)), "could be several things"),
    "one row": (array(Z(9, complex)), "could be several things"),
    "six axes": (array(Z((1, 1, 1, 2, 8, 8), complex)), "could be several things"),
    "coils last": (array(echo(32, 24, 3)), "could be several things; name its axes"),
    "empty array": (array(Z((3, 0, 24), complex)), "odd.npy: "),
    "truncated array": (array(echo(3, 32, 24), cut=9), "truncated"),
    "nan in an array": (array(spoilt(np.nan, 3, 32, 24)), "NaN or infinite"),
    "huge array": (content("odd.npy", npy_header(FORMS % ("<c8", (9, 10**6, 10**6)))), "truncated"),
    "negative array": (content("odd.npy", npy_header(FORMS % ("<c8", (-3, 32, 24)))), "odd.npy: "),
    "code in a header": (content("odd.npy", npy_header("__import__('os').abort()")), "odd.npy: "),
    "version 9": (content("odd.npy", b"\x93NUMPY\x09\x00" + bytes(99)), "odd.npy: "),
    "zip of nothing": (zipped(), "odd.npz: "),
    "zip of prose": (zipped(kspace=b"prose"), "odd.npz: "),
    "zip bomb": (zipped(k=npy_header(FORMS % ("<c8", (9, 9**6, 9**6))) + bytes(99)), "odd.npz: "),
    "two arrays": (
        zipped(a=npy_header("{}"), b=npy_header("{}")),
        "which array? --variable; it holds a, b",
    ),
    # MATLAB, BART, NIfTI, DICOM, twix
    "no variable": (matlab(), "it holds nothing"),
    "a cell": (matlab(k=np.array([[{}, 1], [2, 3]], object)), "k is object"),
    "truncated mat": (matlab(cut=3000, k=echo(32, 24)), "odd.mat: not a readable MATLAB file"),
    "two variables": (matlab(a=echo(8, 8), b=echo(8, 8)), "name its --variable"),
    "no header": (bart(None), "odd.hdr: missing"),
    "prose as header": (bart("32 24 1 3"), "not a readable HDF5 file, nor in another"),
    "no dimensions": (bart("# Dimensions\n\n"), "odd.hdr: no lengths in the line after"),
    "negative dimension": (bart("# Dimensions\n-32 24 1 3\n"), "odd.hdr: no lengths"),
    "dimension zero": (bart("# Dimensions\n0 24 1 3\n"), "odd.hdr: dimensions 0x24"),
    "17 dimensions": (bart("# Dimensions\n" + "1 " * 17), "at most 16 lengths"),
    "other dimensions": (bart("# Dimensions\n32 24 1 4\n"), "18432 bytes, but odd.hdr says"),
    "huge dimensions": (bart("# Dimensions\n" + "999999999 " * 9), "bytes, but odd.hdr says"),
    "truncated nifti": (nifti(np.ones((9, 9, 9)), cut=99), "odd.nii: "),
    "truncated gzip": (nifti(np.ones((9, 9, 9)), 40, "odd.nii.gz"), "odd.nii.gz: "),
    "nan in nifti": (nifti(np.full((9, 9, 2), np.nan)), "NaN or infinite"),
    "only a gzip": (content("odd.nii.gz", b"\x1f\x8b" + bytes(30)), "odd.nii.gz: "),
    "only a mark": (content("odd.dcm", bytes(128) + b"DICM"), "odd.dcm: "),
    "twix of noise": (content("odd.dat", bytes(range(256)) * 64), "not a readable HDF5"),
    "twix of zeros": (content("odd.dat", bytes(16384)), "odd.dat: "),
    "a pickle": (content("odd.pkl", pickle.dumps({"kspace": 1})), "not a readable HDF5"),
    "a pickle as array": (content("odd.npy", pickle.dumps([1])), "not a readable HDF5"),
    # off the grid
    "nan trajectory": (off_grid(trajectory=np.full((288, 2), np.nan)), "trajectory holds 576 NaN"),
    "far trajectory": (off_grid(trajectory=np.full((288, 2), 900.0)), "trajectory"),
    "three directions": (off_grid(trajectory=Z((288, 3))), "trajectory has shape (288, 3)"),
    "short trajectory": (off_grid(trajectory=Z((287, 2))), "trajectory has shape (287, 2)"),
    "trajectory of zeros": (off_grid(trajectory=Z((288, 2))), "trajectory reaches 0"),
    "negative matrix": (off_grid(matrix=(-24, 24)), "attribute matrix"),
    "matrix of words": (off_grid(matrix="24x24"), "attribute matrix"),
    "huge matrix": (off_grid(matrix=(10**6, 24)), "attribute matrix"),
    "negative density": (off_grid(density=np.full(288, -1.0)), "density"),
    "short density": (off_grid(density=Z(4)), "density has shape (4,)"),
    "no field of view": (off_grid(field_of_view=(0.0, 200.0)), "attribute field_of_view"),
    # no file at all
    "missing": (lambda folder: folder / "odd.h5", "odd.h5: no such file"),
    "pipe": (pipe, "odd.h5: "),
    "device": (lambda folder: Path("/dev/null"), "null: "),
    "circle of links": (circle, "odd.h5: "),
    "link to nowhere": (nowhere, "odd.h5: no such file"),
    "a name of two lines": (content("odd\nname.h5", b"k"), "not a readable HDF5"),
    "a name of controls": (content("odd\x1b[31m.h5", b"k"), "not a readable HDF5"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_one_line_and_leaves_nothing(any_command, tmp_path: Path, name: str) -> None:
    write, told = FILES[name]
    path = write(tmp_path)
    before = sorted(tmp_path.iterdir())
    out = tmp_path / "out.h5"
    for words in (
        ("reconstruct", path, out, "--model", "cg-sense"),
        ("data", "convert", path, out),
    ):
        status, _, errors = any_command(*words)
        assert status in (1, 2), (words[0], status, errors)
        *warned, error = errors
        assert error.startswith("deqlab: error: ") and told in error, error
        assert all(line.startswith("deqlab: warning: ") for line in warned), warned
        assert sorted(tmp_path.iterdir()) == before
    status, output, errors = any_command("data", "check", path)
    assert status in (1, 2) and "Traceback" not in output + "".join(errors)
