"""Every kind of bad file ends in one line that names the file, the field and what would be
right.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, open_volume
from deqlab.data.check import check
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask

BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [
<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">&b;</ismrmrdHeader>"""
LEAK = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<ismrmrdHeader>&a;</ismrmrdHeader>"""


def replace(name: str, value: object):
    """A defect: data set `name` holds `value`."""

    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def spoil(value: complex):
    """A defect: one sample of slice 1 is `value`."""

    def change(file: h5py.File) -> None:
        file["kspace"][1, 0, 3, 3] = value

    return change


def edit_header(old: bytes, new: bytes):
    def change(file: h5py.File) -> None:
        text = file["ismrmrd_header"][()]
        assert old in text
        replace("ismrmrd_header", text.replace(old, new))(file)

    return change


def attribute(name: str, value: object, **options: object):
    def change(file: h5py.File) -> None:
        del file.attrs[name]
        file.attrs.create(name, value, **options)

    return change


def relink(link: object):
    def change(file: h5py.File) -> None:
        if "kspace" in file:
            file.move("kspace", "elsewhere")
        file["kspace"] = link

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((2, 3, 32, 20), np.complex64)
    layout[:] = h5py.VirtualSource("other.h5", "kspace", (2, 3, 32, 20))
    del file["kspace"]
    file.create_virtual_dataset("kspace", layout)


def external_storage(file: h5py.File) -> None:
    del file["kspace"]
    file.create_dataset(
        "kspace", (2, 3, 32, 20), np.complex64, external=[("/etc/hostname", 0, 2 * 3 * 32 * 20 * 8)]
    )


def objects(file: h5py.File) -> None:
    del file.attrs["acquisition"]
    file.attrs.create("acquisition", file["kspace"].ref, dtype=h5py.ref_dtype)


def group(file: h5py.File) -> None:
    del file["kspace"]
    file.create_group("kspace")


def huge(file: h5py.File) -> None:
    del file["kspace"]
    file.create_dataset("kspace", (1, 100, 10**5, 10**5), np.complex64, chunks=(1, 1, 10, 10))


Z = np.zeros
DEFECTS = {
    "no kspace": (
        lambda file: file.__delitem__("kspace"),
        "no `kspace`; it holds ismrmrd_header, reconstruction_rss",
    ),
    "two axes": (
        replace("kspace", Z((32, 20), np.complex64)),
        r"kspace has shape \(32, 20\); .*needed",
    ),
    "five axes": (replace("kspace", Z((1, 1, 1, 4, 4), np.complex64)), "kspace has shape .*needed"),
    "no axes": (replace("kspace", 1j), r"kspace has shape \(\); .*needed"),
    "no rows": (
        replace("kspace", Z((2, 3, 0, 20), np.complex64)),
        "kspace has shape .*every axis needs at least one sample",
    ),
    "real": (
        replace("kspace", Z((2, 3, 32, 20), np.float32)),
        "kspace is float32; complex samples needed",
    ),
    "text": (replace("kspace", "k"), "kspace has shape .*needed"),
    "other compound": (
        replace("kspace", Z((2, 3, 32, 20), [("a", "f4"), ("b", "f4"), ("c", "f4")])),
        "kspace is .*complex samples needed",
    ),
    "group": (group, "kspace is a group; a data set is needed"),
    "huge": (huge, "kspace declares slices of .*at most"),
    "external link": (
        relink(h5py.ExternalLink("other.h5", "/kspace")),
        "kspace is an external link; .*in the file itself",
    ),
    "soft link": (
        relink(h5py.SoftLink("/elsewhere")),
        "kspace is a soft link; .*in the file itself",
    ),
    "dangling link": (relink(h5py.SoftLink("/nowhere")), "kspace is a soft link"),
    "virtual": (virtual, "kspace takes its data from other files"),
    "external storage": (external_storage, "kspace takes its data from other files"),
    "short mask": (
        replace("mask", Z(19, bool)),
        r"mask has shape \(19,\); \(20,\), one per k-space column",
    ),
    "square mask": (replace("mask", Z((20, 20), bool)), r"mask has shape \(20, 20\)"),
    "empty mask": (replace("mask", Z(20, bool)), "mask is empty"),
    "grey mask": (replace("mask", np.full(20, 0.5)), "mask holds values other than 0 and 1"),
    "nan mask": (replace("mask", np.full(20, np.nan)), "mask holds values other than 0 and 1"),
    "text mask": (replace("mask", np.full(20, b"1")), "mask is .*needed"),
    "not xml": (replace("ismrmrd_header", b"<a"), "ismrmrd_header: not well-formed XML"),
    "empty header": (replace("ismrmrd_header", b""), "ismrmrd_header: not well-formed XML"),
    "other xml": (
        replace("ismrmrd_header", b"<a/>"),
        "ismrmrd_header: no encoding/encodedSpace/matrixSize/x",
    ),
    "binary header": (
        replace("ismrmrd_header", Z(9, np.uint8)),
        "ismrmrd_header is uint8 .*one text of XML needed",
    ),
    "entity bomb": (
        replace("ismrmrd_header", BOMB),
        "ismrmrd_header: holds a document type or an entity.*refused",
    ),
    "external entity": (
        replace("ismrmrd_header", LEAK),
        "ismrmrd_header: holds a document type or an entity.*refused",
    ),
    "unknown encoding": (edit_header(b"utf-8", b"utf-77"), "ismrmrd_header: not well-formed XML"),
    "no recon size": (
        edit_header(b"<x>16</x>", b""),
        "ismrmrd_header: no encoding/reconSpace/matrixSize/x",
    ),
    "word for a size": (
        edit_header(b"<x>16</x>", b"<x>many</x>"),
        "ismrmrd_header: encoding/reconSpace/matrixSize/x is 'many', a whole number",
    ),
    "size zero": (
        edit_header(b"<x>16</x>", b"<x>0</x>"),
        "ismrmrd_header: encoding/reconSpace/matrixSize/x is '0', a whole number from 1",
    ),
    "long number": (
        edit_header(b"<x>16</x>", b"<x>" + b"9" * 9999 + b"</x>"),
        "ismrmrd_header: .*matrixSize/x is '9999.*a whole number from 1",
    ),
    "wild limits": (
        edit_header(b"<center>10<", b"<center>900<"),
        "ismrmrd_header: encodingLimits center 900 .* outside the 20 columns",
    ),
    "complex target": (
        replace("reconstruction_rss", Z((2, 16, 18), complex)),
        "reconstruction_rss is complex128; real magnitudes",
    ),
    "target of other slices": (
        replace("reconstruction_rss", Z((3, 16, 18))),
        r"reconstruction_rss has shape .*\(2 slices",
    ),
    "flat target": (replace("reconstruction_rss", Z((16, 18))), "reconstruction_rss has shape"),
    "object attribute": (objects, "attribute acquisition holds objects; a text needed"),
    "number as contrast": (
        attribute("acquisition", 3),
        "attribute acquisition is .*; a text needed",
    ),
    "text as maximum": (
        attribute("max", "large"),
        "attribute max is 'large'; a finite number needed",
    ),
    "nan maximum": (attribute("max", np.nan), "attribute max is 'nan'; a finite number needed"),
    "list as maximum": (
        attribute("max", [1.0, 2.0]),
        r"attribute max has shape \(2,\); a number needed",
    ),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_refused_on_opening_and_named_by_check(raw_file, name):
    change, message = DEFECTS[name]
    path = raw_file(change=change).path
    with pytest.raises(InputError, match=rf"volume\.h5: {message}") as caught:
        open_volume(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert any(str(caught.value).removeprefix(f"{path}: ") == defect for defect in check(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1j * np.nan, -1j * np.inf])
def test_samples_that_are_not_finite_are_refused_with_their_slice(raw_file, value):
    path = raw_file(change=spoil(value)).path
    dataset = SliceDataset(path, RandomMask(2, 0.3))
    dataset[0]
    with pytest.raises(InputError, match="volume.h5: kspace slice 1 holds NaN or infinite samples"):
        dataset[1]
    assert check(path) == ["kspace holds NaN or infinite samples in slice 1"]


def test_a_target_that_is_not_finite_is_refused(raw_file):
    def change(file: h5py.File) -> None:
        file["reconstruction_rss"][0, 3, 3] = np.nan

    path = raw_file(change=change).path
    with pytest.raises(InputError, match="reconstruction_rss slice 0 holds NaN"):
        SliceDataset(path, RandomMask(2, 0.3))[0].target  # noqa: B018
    assert any("reconstruction_rss slice 0: NaN" in defect for defect in check(path))


def test_masks_without_calibration_lines_are_refused_for_many_coils(raw_file):
    many, one = raw_file("many.h5").path, raw_file("one.h5", coils=None).path
    rule = EquispacedMask(4, 0)
    with pytest.raises(InputError, match="many.h5: mask: no calibration lines"):
        SliceDataset(many, rule)[0]
    assert SliceDataset(one, rule)[0].kspace.any()  # one coil needs no maps
    mask = np.zeros(20, bool)
    mask[::4] = True
    path = raw_file("masked.h5", mask=mask).path
    with pytest.raises(InputError, match="masked.h5: mask: no calibration lines"):
        SliceDataset(path)[0]
    assert any("no calibration lines" in defect for defect in check(path))


def test_files_that_are_no_hdf5(raw_file, tmp_path: Path):
    (tmp_path / "text.h5").write_text("k-space")
    (tmp_path / "empty.h5").write_bytes(b"")
    whole = raw_file().path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        (tmp_path / "cut.h5").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="cut.h5: truncated HDF5 file"):
            open_volume(tmp_path / "cut.h5")
    for name, message in {
        "nowhere.h5": "no such file",
        "text.h5": "not a readable HDF5 file",
        "empty.h5": "not a readable HDF5",
        ".": "is a folder",
    }.items():
        with pytest.raises(InputError, match=message):
            open_volume(tmp_path / name)
        assert any(message in defect for defect in check(tmp_path / name))


def test_damaged_samples_are_an_input_error(raw_file):
    """A compressed block that was overwritten: the structure is sound, the samples cannot be
    had.
    """

    def compress(file: h5py.File) -> None:
        samples = file["kspace"][()]
        del file["kspace"]
        file.create_dataset(
            "kspace", data=samples, chunks=samples.shape, compression="gzip", fletcher32=True
        )

    path = raw_file(change=compress).path
    with h5py.File(path) as file:
        block = file["kspace"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[block.byte_offset + 20 : block.byte_offset + 60] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InputError, match="volume.h5: kspace is damaged or truncated"):
        SliceDataset(path, RandomMask(2, 0.3))[0]
    assert any("kspace is damaged or truncated" in defect for defect in check(path))
