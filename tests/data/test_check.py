"""`check` names all defects of a file, also those that the reader lets pass."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from deqlab.data.check import check


def test_a_sound_file_has_no_defect(raw_file, center_mask):
    for options in (
        {},
        {"coils": None},
        {"mask": center_mask(20)},
        {"padding": (2, 3)},
        {"dtype": np.complex128},
    ):
        assert check(raw_file(**options).path) == []


def zero_columns(file: h5py.File) -> None:
    samples = file["kspace"][()]
    samples[..., 5:9] = 0
    file["kspace"][...] = samples


def scale_target(file: h5py.File) -> None:
    file["reconstruction_rss"][...] = 1.01 * file["reconstruction_rss"][()]
    file.attrs["max"] = 1.01 * file.attrs["max"]


def stray_samples(file: h5py.File) -> None:
    file["kspace"][0, 0, 0, 0] = 1


def wider_header(file: h5py.File) -> None:
    text = file["ismrmrd_header"][()]
    del file["ismrmrd_header"]
    file["ismrmrd_header"] = text.replace(b"<y>20</y>", b"<y>22</y>").replace(
        b"<x>16</x>", b"<x>14</x>"
    )


HIDDEN = [
    ({}, zero_columns, "whole columns of zeros, as if undersampled"),
    (
        {},
        scale_target,
        "reconstruction_rss is not the root-sum-of-squares of the coil images in slices 0, 1",
    ),
    ({}, lambda file: file.attrs.modify("max", 5.0), "attribute max is 5, but the largest value"),
    (
        {},
        lambda file: file["kspace"].write_direct(np.zeros((2, 3, 32, 20), np.complex64)),
        "only zeros in slices 0, 1",
    ),
    ({}, lambda file: file.__delitem__("ismrmrd_header"), "no ismrmrd_header"),
    ({}, lambda file: file.attrs.__delitem__("acquisition"), "no attribute acquisition"),
    ({}, lambda file: file.__delitem__("reconstruction_rss"), "neither a mask nor a target"),
    ({}, wider_header, "encodedSpace 32x22 differs from kspace 32x20"),
    ({}, wider_header, "reconSpace 14x18 differs from the target's 16x18"),
    (
        {},
        lambda file: file.create_dataset("mask", data=np.ones(20, bool)),
        "both a mask and reconstruction_rss",
    ),
    (
        {},
        lambda file: file.__setitem__("extra", h5py.ExternalLink("o.h5", "/x")),
        "extra is a link",
    ),
    ({"padding": (2, 3)}, stray_samples, "samples outside the acquired columns in slice 0"),
    ({"mask": np.arange(20) > 4}, stray_samples, "samples outside the mask in slice 0"),
]


@pytest.mark.parametrize(
    "options, change, message", HIDDEN, ids=[message[:30] for *_, message in HIDDEN]
)
def test_what_the_reader_lets_pass_is_named(raw_file, options, change, message):
    defects = check(raw_file(change=change, **options).path)
    assert any(message in defect for defect in defects), defects


def test_all_defects_are_named_at_once(raw_file):
    def ruin(file: h5py.File) -> None:
        file["kspace"][0, 0, 0, 0] = np.nan
        file["mask"] = np.ones(7, bool)
        del file["ismrmrd_header"], file.attrs["acquisition"]
        file["ismrmrd_header"] = b"<a"
        file.attrs["max"] = "large"
        file["more"] = h5py.SoftLink("/kspace")

    defects = check(raw_file(change=ruin).path)
    for word in (
        "kspace holds NaN",
        "mask has shape (7,)",
        "not well-formed",
        "no attribute acquisition",
        "attribute max",
        "more is a link",
    ):
        assert sum(word in defect for defect in defects) == 1, (word, defects)
    assert all("\n" not in defect for defect in defects) and len(defects) == len(set(defects))
