"""The built-in data set: reproducible to the byte, never the same head twice, and honest raw
data.
"""

import hashlib
import os
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import simulated
from deqlab.data.simulated import (
    CONTRASTS,
    SPLITS,
    SimulationConfig,
    builtin,
    make,
    simulate_volume,
)
from deqlab.signal.coils.coil_maps import rss
from deqlab.signal.transforms.crop import center_crop, crop_readout
from deqlab.signal.transforms.fourier import ifft2c

TINY = SimulationConfig(matrix=32, coils=3, slices=2, volumes=(4, 4, 4))


def digests(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.fixture(scope="module")
def tiny_set(tmp_path_factory) -> list[Path]:
    return make(tmp_path_factory.mktemp("tiny"), TINY, progress=False)


def test_every_split_has_every_contrast(tiny_set):
    assert len(tiny_set) == 12
    for split in SPLITS:
        paths = [path for path in tiny_set if path.name.startswith(split)]
        found = []
        for path in paths:
            with h5py.File(path) as file:
                found.append(file.attrs["acquisition"])
        assert tuple(found) == CONTRASTS


def test_files_follow_the_schema(tiny_set):
    with h5py.File(tiny_set[1]) as file:
        assert set(file) == {"kspace", "reconstruction_rss", "ismrmrd_header"}
        kspace, target = file["kspace"][:], file["reconstruction_rss"][:]
        assert kspace.shape == (2, 3, 64, 32) and kspace.dtype == np.complex64
        assert target.shape == (2, 32, 32)
        image = rss(ifft2c(torch.from_numpy(kspace)))
        np.testing.assert_allclose(
            center_crop(image, (32, 32)).numpy(), target, rtol=1e-4, atol=1e-9
        )
        assert file.attrs["max"] == pytest.approx(target.max())


def test_package_reader_reads_them(tiny_set):
    from deqlab.data import open_volume

    volume = open_volume(tiny_set[1])
    assert volume.shape == (2, 3, 64, 32) and volume.recon_shape == (32, 32)
    assert volume.multicoil and volume.header is not None and volume.mask is None
    assert (volume.contrast, volume.patient_id) == ("AXT2", tiny_set[1].stem)


def test_same_seed_same_bytes_in_another_process_with_other_threads(tiny_set, tmp_path):
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from deqlab.data.simulated import *\n"
        f"make({str(tmp_path)!r}, {TINY!r}, ('test',), progress=False)"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "2"}
    )
    ours = [path for path in tiny_set if path.name.startswith("test")]
    assert digests([tmp_path / path.name for path in ours]) == digests(ours)


def test_no_two_volumes_share_a_head_or_a_contrast_draw(tiny_set):
    images = []
    for path in tiny_set:
        with h5py.File(path) as file:
            image = file["reconstruction_rss"][0].ravel()
        images.append((image - image.mean()) / np.linalg.norm(image - image.mean()))
    similarity = np.array(images) @ np.array(images).T - np.eye(12)
    assert similarity.max() < 0.97
    drawn = {astuple(sequence_of(split, index)) for split in SPLITS for index in range(4)}
    assert len(drawn) == 12


def sequence_of(split: str, index: int):
    """The sequence that a volume is drawn with, caught on its way."""
    caught = []
    original = simulated.draw_sequence

    def catch(*arguments):
        caught.append(original(*arguments))
        return caught[-1]

    simulated.draw_sequence = catch
    try:
        simulate_volume(SimulationConfig(matrix=16, coils=1, slices=1), split, index)
    finally:
        simulated.draw_sequence = original
    return caught[0]


def test_seed_and_index_decide():
    config = SimulationConfig(matrix=16, coils=2, slices=1)
    first = simulate_volume(config, "val", 2)
    assert np.array_equal(first, simulate_volume(config, "val", 2))
    other_seed = SimulationConfig(matrix=16, coils=2, slices=1, seed=1)
    for named in ((config, "val", 6), (config, "test", 2), (other_seed, "val", 2)):
        assert not np.allclose(
            first, simulate_volume(*named), rtol=0.1, atol=0.01 * np.abs(first).max()
        )


def test_doubled_field_of_view_is_empty_beyond_the_head():
    config = SimulationConfig(matrix=32, coils=2, slices=2, noise=0.0)
    images = rss(ifft2c(torch.from_numpy(simulate_volume(config, "train", 0))))
    assert images.shape == (2, 64, 32)
    assert images[:, :16].max() < 1e-5 * images.max() and images[:, 48:].max() < 1e-5 * images.max()
    assert images[:, 16:48].mean() > 0.05 * images.max()


def test_crop_in_k_space_is_not_the_crop_in_image_space():
    config = SimulationConfig(matrix=32, coils=1, slices=1, noise=0.0)
    kspace = torch.from_numpy(simulate_volume(config, "train", 0))
    right = center_crop(ifft2c(kspace), (32, 32)).abs()
    wrong = ifft2c(center_crop(kspace, (32, 32))).abs()
    torch.testing.assert_close(ifft2c(crop_readout(kspace, 32)).abs(), right)
    assert (wrong - right).norm() / right.norm() > 0.3


@pytest.mark.parametrize("level", [0.01, 0.1])
def test_noise_has_the_asked_level(level):
    clean = simulate_volume(SimulationConfig(matrix=32, coils=2, slices=2, noise=0.0), "train", 1)
    noisy = simulate_volume(SimulationConfig(matrix=32, coils=2, slices=2, noise=level), "train", 1)
    maximum = float(rss(ifft2c(torch.from_numpy(clean))).max())
    noise = (noisy - clean) / maximum
    assert noise.real.std() == pytest.approx(level, rel=0.03)
    assert noise.imag.std() == pytest.approx(level, rel=0.03)
    assert abs(np.mean(noise.real * noise.imag)) < 0.05 * level**2


def test_oversampling_and_single_coil_are_options():
    kspace = simulate_volume(
        SimulationConfig(matrix=17, coils=1, slices=3, oversampling=1), "test", 0
    )
    assert kspace.shape == (3, 17, 17) and np.isfinite(kspace).all()
    kspace = simulate_volume(
        SimulationConfig(matrix=17, coils=2, slices=1, oversampling=3), "test", 0
    )
    assert kspace.shape == (1, 2, 51, 17)


def test_coil_images_have_phase():
    kspace = simulate_volume(SimulationConfig(matrix=32, coils=1, slices=1, noise=0.0), "train", 2)
    image = ifft2c(torch.from_numpy(kspace[0]))
    bright = image.abs() > 0.3 * image.abs().max()
    assert image[bright].angle().std() > 0.05


def test_present_files_are_kept_and_missing_ones_made(tmp_path):
    config = SimulationConfig(matrix=16, coils=1, slices=1, volumes=(2, 0, 1))
    paths = make(tmp_path, config, progress=False)
    assert [path.name for path in paths] == [
        "train_000_AXT1.h5",
        "train_001_AXT2.h5",
        "test_000_AXT1.h5",
    ]
    before = digests(paths)
    stamp = paths[0].stat().st_mtime_ns
    paths[1].unlink()
    larger = SimulationConfig(matrix=16, coils=1, slices=1, volumes=(3, 0, 1))
    again = make(tmp_path, larger, progress=False)
    assert digests(paths) == before and len(again) == 4
    assert paths[0].stat().st_mtime_ns == stamp
    assert sorted(tmp_path.glob("*.h5")) == sorted(again) and not list(tmp_path.glob(".*"))


def test_an_interrupted_volume_leaves_no_file(tmp_path, monkeypatch):
    config = SimulationConfig(matrix=16, coils=1, slices=1, volumes=(1, 0, 0))

    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("deqlab.data.formats.write_fastmri.h5py.File", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path, config, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["simulation.json"]
    assert make(tmp_path, config, progress=False)[0].exists()


def test_builtin_makes_only_the_asked_split_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEQLAB_CACHE", str(tmp_path / "cache"))
    config = SimulationConfig(matrix=16, coils=1, slices=1, volumes=(1, 1, 2))
    paths = builtin("test", config, progress=False)
    assert [path.name for path in paths] == ["test_000_AXT1.h5", "test_001_AXT2.h5"]
    assert tmp_path / "cache" in paths[0].parents
    assert not list(paths[0].parent.glob("train*"))
    # Another configuration lives in another folder; more volumes of the same one do not.
    other = builtin("test", replace(config, seed=3), progress=False)
    assert other[0].parent != paths[0].parent
    more = builtin("test", replace(config, volumes=(0, 0, 3)), progress=False)
    assert more[:2] == paths
    explicit = builtin("val", config, cache=tmp_path / "here", progress=False)
    assert tmp_path / "here" in explicit[0].parents


def test_a_folder_keeps_to_one_configuration(tmp_path):
    make(
        tmp_path, SimulationConfig(matrix=16, coils=1, slices=1, volumes=(0, 0, 0)), progress=False
    )
    with pytest.raises(InputError, match="simulation.json"):
        make(
            tmp_path,
            SimulationConfig(matrix=16, coils=2, slices=1, volumes=(0, 0, 0)),
            progress=False,
        )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("matrix", 8),
        ("matrix", 32.5),
        ("coils", 0),
        ("slices", 0),
        ("volumes", (1, 2)),
        ("volumes", (1, 2, -1)),
        ("noise", -0.1),
        ("noise", (0.2, 0.1)),
        ("noise", "loud"),
        ("seed", -1),
        ("oversampling", 0),
    ],
)
def test_impossible_configurations_are_refused_by_name(name, value):
    with pytest.raises(InputError, match=name):
        SimulationConfig(**{name: value})


def test_unknown_split_is_refused(tmp_path):
    with pytest.raises(InputError, match="split"):
        make(tmp_path, TINY, ("training",))
    with pytest.raises(InputError, match="split"):
        builtin("training", TINY, cache=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        make(tmp_path / "file", TINY)
