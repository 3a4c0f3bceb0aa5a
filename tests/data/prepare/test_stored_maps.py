"""Coil maps by name and from a file: what is read is what was stored, and what does not fit is
named in one line.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, open_volume
from deqlab.data.prepare.on_grid import prepare
from deqlab.data.prepare.stored_maps import StoredMaps, coil_maps_by_name
from deqlab.signal.coils.coil_maps import LowResolution, rss
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.registry import COIL_MAPS
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.sampling.masks import RandomMask


def write(path: Path, maps: object, name: str = "coil_maps") -> StoredMaps:
    with h5py.File(path, "w") as file:
        file[name] = maps
    return StoredMaps(path)


def random_maps(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def test_stored_maps_come_out_with_unit_norm_and_their_zeros(tmp_path: Path) -> None:
    maps = 7 * random_maps(2, 3, 8, 6)
    maps[1, :, 2, 3] = 0
    stored = write(tmp_path / "maps.h5", maps)
    for index in (0, 1):
        found = stored.read(index, 2, (3, 8, 6))
        size = np.linalg.norm(maps[index], axis=0)
        np.testing.assert_allclose(
            found.numpy(), maps[index] / np.where(size > 0, size, 1), rtol=1e-5, atol=1e-7
        )
    assert found.dtype == torch.complex64 and float(rss(found)[2, 3]) == 0
    shared = write(tmp_path / "shared.h5", maps[0])
    assert shared.read(5, 9, (3, 8, 6)).equal(stored.read(0, 2, (3, 8, 6)))
    tall = write(tmp_path / "tall.h5", maps)
    np.testing.assert_array_equal(
        tall.read(0, 2, (3, 4, 6)).numpy(), stored.read(0, 2, (3, 8, 6)).numpy()[:, 2:6]
    )


@pytest.mark.parametrize(
    "maps, words",
    [
        (random_maps(3, 2, 8, 6), "2 coils of 8x6, 3 coils of 8x6 needed"),
        (random_maps(3, 8, 7), "8x7"),
        (random_maps(3, 7, 6), "7x6"),
        (random_maps(5, 3, 8, 6), "5 slices, kspace has 2"),
        (random_maps(3, 8, 6).real, "float32"),
        (random_maps(8, 6), r"shape \(8, 6\)"),
        (np.full((3, 8, 6), np.nan + 0j), "NaN"),
    ],
)
def test_maps_that_do_not_fit_are_named(tmp_path: Path, maps: np.ndarray, words: str) -> None:
    stored = write(tmp_path / "maps.h5", maps if maps.shape != (3, 2, 8, 6) else maps[:2])
    with pytest.raises(InputError, match=words) as error:
        stored.read(0, 2, (3, 8, 6))
    assert "maps.h5" in str(error.value) and "\n" not in str(error.value)


def test_files_without_maps_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set 'coil_maps'"):
        write(tmp_path / "other.h5", random_maps(3, 8, 6), "maps").read(0, 2, (3, 8, 6))
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputError, match="HDF5"):
        StoredMaps(tmp_path / "text.h5").read(0, 2, (3, 8, 6))


def test_names_are_methods_and_paths_are_files(tmp_path: Path) -> None:
    assert coil_maps_by_name("lowres") == LowResolution() and coil_maps_by_name("walsh") == Walsh()
    assert coil_maps_by_name("espirit") == ESPIRiT() and coil_maps_by_name(
        "espirit-cropped"
    ) == ESPIRiT(outside="zero")
    stored = write(tmp_path / "maps.h5", random_maps(3, 8, 6))
    assert coil_maps_by_name(str(stored.path)) == stored
    with pytest.raises(InputError, match="'esprit' is no file.*lowres, espirit"):
        coil_maps_by_name("esprit")


@pytest.mark.parametrize("name", COIL_MAPS)
def test_every_method_prepares_a_slice(raw_file, name: str) -> None:
    """A explains the measured samples by the reference of the same maps, whatever the method."""
    raw = raw_file(rows=48, columns=40, recon=(40, 38))
    sample = SliceDataset(raw.path, RandomMask(2, 0.4), coil_maps=coil_maps_by_name(name))[0]
    again = sample.operator(sample.reference[None])[0]
    assert float((again - sample.kspace).norm() / sample.kspace.norm()) < 0.15
    assert bool((rss(sample.operator.coil_maps) < 1 + 1e-5).all())


def test_stored_maps_need_no_calibration_lines(raw_file, tmp_path: Path) -> None:
    raw = raw_file()
    volume, mask = open_volume(raw.path), torch.arange(20) % 2 == 1
    stored = write(tmp_path / "maps.h5", random_maps(3, 32, 20))
    sample = prepare(volume, 0, mask, coil_maps=stored)
    assert sample.operator.coil_maps[0].equal(stored.read(0, 2, (3, 16, 20)))
    with pytest.raises(InputError, match="calibration"):
        prepare(volume, 0, mask)


def test_too_few_lines_for_a_method_name_the_file(raw_file) -> None:
    dataset = SliceDataset(raw_file().path, RandomMask(4, 0.1), coil_maps=ESPIRiT(12))
    with pytest.raises(InputError, match=r"volume\.h5: coil maps: kernel: 12"):
        dataset[0]


def test_two_dimensional_masks_calibrate_within_their_centre(raw_file) -> None:
    mask = np.zeros((32, 20), bool)
    mask[6:27, 3:18] = True
    mask[::2, ::2] = True
    volume = open_volume(raw_file(mask=mask, recon=(32, 20)).path)
    for name in COIL_MAPS:
        sample = prepare(
            volume, 0, torch.from_numpy(mask.copy()), coil_maps=coil_maps_by_name(name)
        )
        assert bool(sample.operator.coil_maps.isfinite().all())


def test_what_is_no_source_of_maps_is_named(raw_file) -> None:
    with pytest.raises(InputError, match="coil_maps: 'espirit' given"):
        SliceDataset(raw_file().path, RandomMask(2, 0.3), coil_maps="espirit")
