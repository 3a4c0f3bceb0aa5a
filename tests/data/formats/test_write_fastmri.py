"""The writer: fastMRI's schema, equal bytes for equal arguments, and a file that is whole or
absent.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time

import h5py
import numpy as np
import pytest

from deqlab.core.atomic import atomic_path, write_durably
from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, open_volume, write_volume
from deqlab.data.check import check
from deqlab.data.formats.ismrmrd_header import build_header, parse_header


def noise(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.mark.parametrize("shape", [(2, 3, 33, 20), (2, 32, 21)])
def test_a_written_volume_is_sound_and_holds_what_was_given(tmp_path, shape):
    kspace = noise(*shape)
    path = write_volume(
        tmp_path / "v.h5", kspace, "AXT1", (15, 16), acquired=(2, 19), patient_id="head"
    )
    with h5py.File(path) as file:
        stored = file["kspace"][()]
        np.testing.assert_array_equal(stored[..., 2:19], kspace[..., 2:19])
        assert (
            not stored[..., :2].any()
            and not stored[..., 19:].any()
            and stored.dtype == np.complex64
        )
        coils = stored if stored.ndim == 4 else stored[:, None]
        axes = (-2, -1)
        images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(coils, axes), norm="ortho"), axes)
        rss = np.sqrt((np.abs(images) ** 2).sum(1))
        top, left = shape[-2] // 2 - 7, shape[-1] // 2 - 8
        name = "reconstruction_rss" if len(shape) == 4 else "reconstruction_esc"
        np.testing.assert_allclose(file[name], rss[:, top : top + 15, left : left + 16], rtol=1e-4)
        assert file.attrs["max"] == file[name][()].max() and file.attrs["acquisition"] == "AXT1"
        assert (
            file.attrs["norm"] == pytest.approx(np.linalg.norm(file[name]))
            and file.attrs["patient_id"] == "head"
        )
    volume = open_volume(path)
    assert (
        volume.acquired == (2, 19)
        and volume.recon_shape == (15, 16)
        and volume.multicoil == (len(shape) == 4)
    )
    assert check(path) == []


@pytest.mark.parametrize("two_dimensional", [False, True])
def test_a_masked_volume_keeps_only_what_was_sampled(tmp_path, two_dimensional):
    mask = np.random.default_rng(0).random((32, 20) if two_dimensional else 20) < 0.5
    mask[(slice(8, 24), slice(5, 15)) if two_dimensional else slice(6, 14)] = True
    kspace = noise(2, 3, 32, 20)
    path = write_volume(tmp_path / "v.h5", kspace, "AXT1", (16, 16), mask=mask)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["kspace"], np.where(mask, kspace, 0))
        np.testing.assert_array_equal(file["mask"], mask)
        assert not any(name.startswith("reconstruction") for name in file)
    assert check(path) == [] and SliceDataset(path)[0].target is None


def test_equal_arguments_give_equal_bytes(tmp_path):
    first = write_volume(tmp_path / "a.h5", noise(1, 2, 16, 16), "AXT2", (8, 8)).read_bytes()
    # HDF5 takes its time stamps in whole seconds.
    time.sleep(1.05)
    assert (
        write_volume(tmp_path / "b.h5", noise(1, 2, 16, 16), "AXT2", (8, 8)).read_bytes() == first
    )
    assert (
        write_volume(tmp_path / "c.h5", 2 * noise(1, 2, 16, 16), "AXT2", (8, 8)).read_bytes()
        != first
    )


@pytest.mark.parametrize(
    "kspace, options, message",
    [
        (noise(16, 16), {}, r"kspace of shape \(16, 16\)"),
        (noise(1, 2, 16, 16).real, {}, "type float32; complex"),
        (noise(1, 2, 16, 16), {"recon_shape": (17, 8)}, r"recon_shape \(17, 8\) does not fit"),
        (noise(1, 2, 16, 16), {"acquired": (4, 17)}, "acquired columns"),
        (noise(1, 2, 16, 16), {"mask": np.ones(15, bool)}, r"mask of shape \(15,\)"),
        (
            noise(1, 2, 16, 16),
            {"reconstruction": np.ones((1, 8, 9))},
            r"reconstruction of shape \(1, 8, 9\)",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, kspace, options, message):
    with pytest.raises(InputError, match=f"v.h5: .*{message}"):
        write_volume(tmp_path / "v.h5", kspace, "AXT2", **{"recon_shape": (8, 8), **options})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "v.h5"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with atomic_path(path) as temporary:
        write_durably(temporary, b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_no_file(tmp_path):
    """A limit on the size of files stands in for the full disk: the system refuses to write beyond
    it.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(
            InputError, match="v.h5: could not be written .*nothing was changed there"
        ):
            write_volume(tmp_path / "v.h5", noise(1, 2, 32, 32), "AXT2", (16, 16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="its folder .*nowhere does not exist"):
        write_volume(tmp_path / "nowhere" / "v.h5", noise(1, 8, 8), "AXT2", (8, 8))
    with pytest.raises(InputError, match="is a folder"):
        write_volume(tmp_path, noise(1, 8, 8), "AXT2", (8, 8))

    def refuse(**_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The administrator may write everywhere, so a folder without permission would prove nothing to
    # her.
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(InputError, match=r"v.h5: cannot be written here \(Permission denied\)"):
        write_volume(tmp_path / "v.h5", noise(1, 8, 8), "AXT2", (8, 8))


def test_files_get_the_usual_permissions(tmp_path):
    usual = tmp_path / "usual"
    usual.write_text("")
    assert (
        write_volume(tmp_path / "v.h5", noise(1, 8, 8), "AXT2", (8, 8)).stat().st_mode
        == os.stat(usual).st_mode
    )


@pytest.mark.parametrize("acquired", [(0, 21), (3, 19)])
def test_a_header_is_read_as_it_was_built(acquired):
    header = parse_header(build_header((64, 21), (32, 20), acquired, coils=4))
    assert (header.encoded, header.recon, header.acquired(21)) == ((64, 21), (32, 20), acquired)
    assert (header.center, header.maximum) == (21 // 2 - acquired[0], acquired[1] - acquired[0] - 1)
    assert header.acquired(22) == (
        0,
        22,
    )  # of another matrix: its padding says nothing about this k-space
