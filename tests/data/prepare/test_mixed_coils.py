"""Coils are whitened and compressed before anything else sees them, and the image is brought back
to the shading of the coils as they were measured.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, collate, write_noncartesian, write_volume
from deqlab.data.prepare.mixed_coils import preparation_told
from deqlab.data.prepare.options import Preparation
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.data.sample import Batch, Sample
from deqlab.operators import NDFTOperator
from deqlab.signal.coils.air_noise import WhiteningByAir
from deqlab.signal.coils.automatic import Auto
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.transforms.fourier import fft2c

SHAPE, COILS, RULE = (96, 64), 6, RandomMask(2, 0.2)
SOURCES = np.diag([4.0, 1, 1, 1, 1, 0.5]) + 0.2  # of the coils' noise
MAPS = simulate_coil_maps(COILS, SHAPE, seed=1)


def coil_images(slices: int) -> torch.Tensor:
    """Ellipses within half of the readout, complex64 (slices, coil, y, x)."""
    y, x = (torch.linspace(-1, 1, side) for side in SHAPE)
    discs = [
        ((y[:, None] / 0.5) ** 2 + (x / 0.8) ** 2 < 1) * (1 + 0.2 * torch.sin(9 * x + n))
        for n in range(slices)
    ]
    return torch.stack(discs)[:, None] * MAPS


@pytest.fixture
def scan(tmp_path: Path):
    """`scan(noise, sources, slices, intensity)` writes a fully sampled file with noise of the
    coils.
    """

    def write(
        noise: float = 0.01,
        sources: np.ndarray = SOURCES,
        slices: int = 2,
        intensity: float = 1e-5,
        name: str = "scan.h5",
    ) -> Path:
        rng = np.random.default_rng(3)
        parts = rng.standard_normal((slices, COILS, *SHAPE, 2)) @ [1, 1j] * noise
        kspace = fft2c(coil_images(slices)).numpy() + np.einsum("dc,scyx->sdyx", sources, parts)
        return write_volume(tmp_path / name, (intensity * kspace).astype(np.complex64), "T1", SHAPE)

    return write


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


def unevenness(sample: Sample) -> float:
    """Ratio of eigenvalues of the noise in the air of a fully sampled sample."""
    noise = torch.fft.ifftshift(sample.kspace, (-2, -1))
    air = torch.fft.ifft2(noise)[:, 40:56].flatten(1)
    values = torch.linalg.eigvalsh(air @ air.mH)
    return float(values[-1] / values[0])


def test_whitened_coils_have_white_noise_and_the_targets_shading(scan) -> None:
    path = scan()
    plain = SliceDataset(path, coil_maps=ESPIRiT())[0]
    white = SliceDataset(path, coil_maps=ESPIRiT(), whiten=WhiteningByAir())[0]
    assert unevenness(plain) > 20 and unevenness(white) < 1.6
    # The truth is that of the file, in its own units, whatever was done to the coils.
    assert plain.shading is None and white.shading is not None
    torch.testing.assert_close(white.target * white.scale, plain.target * plain.scale)
    assert white.maximum == plain.maximum
    inside = plain.target > 0.5 * plain.target.max()
    shaded, unshaded = white.magnitude(white.reference), white.reference.abs()
    assert relative(shaded[inside], white.target[inside]) < 0.03
    best = (unshaded[inside] @ white.target[inside]) / unshaded[inside].square().sum()
    assert relative(best * unshaded[inside], white.target[inside]) > 0.1


def test_samples_fit_their_operator(scan) -> None:
    sample = SliceDataset(scan(), RULE, coil_maps=ESPIRiT(), whiten=WhiteningByAir(), coils=5)[1]
    assert sample.kspace.shape == (5, *SHAPE) and sample.operator.coils == 5
    again = sample.operator(sample.reference[None])[0]
    low = slice(24, 40)
    assert relative(again[:, 40:56, low], sample.kspace[:, 40:56, low]) < 0.02


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_coils_of_white_noise_and_of_none_stay_bit_for_bit(scan, noise: float) -> None:
    path = scan(noise, np.eye(COILS))
    plain, white = (
        SliceDataset(path, RULE, whiten=how)[0] for how in (Preparation().whiten, WhiteningByAir())
    )
    assert white.kspace.equal(plain.kspace) and white.target.equal(plain.target)
    assert white.operator.coil_maps.equal(plain.operator.coil_maps)
    assert white.reference.equal(plain.reference) and white.shading is None


def test_all_slices_are_whitened_alike_and_only_chosen_ones_are_read(scan) -> None:
    path = scan(slices=3)
    with h5py.File(path, "r+") as file:
        damaged = file["kspace"][2]
        damaged[0, 0, 0] = np.nan
        file["kspace"][2] = damaged
    dataset = SliceDataset(path, RULE, slices=[0, 1], whiten=WhiteningByAir())
    first, second = (dataset.volumes[0].mixing.matrix(index) for index in (0, 1))
    assert first is not None and first is second
    with pytest.raises(InputError, match="slice 2 holds NaN"):
        SliceDataset(path, RULE, slices=[0, 2], whiten=WhiteningByAir())[0]


def test_only_what_the_mask_measures_is_looked_at(scan) -> None:
    path = scan()
    dataset = SliceDataset(path, RULE, whiten=WhiteningByAir(), coils=3)
    mask = dataset.scans[0].sampling.mask_of_volume().numpy()
    before = dataset[0].kspace
    with h5py.File(path, "r+") as file:
        kspace = file["kspace"][:]
        kspace[..., ~mask] *= -3j  # the echo stays the largest sample
        file["kspace"][...] = kspace
    torch.testing.assert_close(
        SliceDataset(path, RULE, whiten=WhiteningByAir(), coils=3)[0].kspace, before
    )


def test_compression_keeps_the_image_and_the_target_of_all_coils(scan) -> None:
    path = scan(noise=1e-4)
    plain = SliceDataset(path, RULE, coil_maps=ESPIRiT())[0]
    dataset = SliceDataset(path, RULE, coil_maps=ESPIRiT(), coils=4)
    few = dataset[0]
    assert dataset.shape(0)[0] == 4 == len(few.kspace)
    torch.testing.assert_close(few.target * few.scale, plain.target * plain.scale)
    assert relative(few.magnitude(few.reference), few.target) < 0.03
    kept = few.kspace.abs().square().sum() * few.scale**2
    assert 0.97 < float(kept / (plain.kspace.abs().square().sum() * plain.scale**2)) < 1


def test_fewer_coils_than_may_be_kept_are_not_touched(scan) -> None:
    path = scan()
    plain, same = (SliceDataset(path, RULE, coils=coils)[0] for coils in (None, 16))
    assert same.kspace.equal(plain.kspace) and same.shading is None


# What is left out of whitened coils is what the loudest of them saw.
@pytest.mark.parametrize("coils, error", [(None, 0.03), (5, 0.12)])
def test_maps_of_a_file_are_mixed_like_the_coils(
    scan, tmp_path: Path, coils: int | None, error: float
) -> None:
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["coil_maps"] = MAPS.numpy()
    stored = StoredMaps(tmp_path / "maps.h5")
    sample = SliceDataset(scan(), RULE, coil_maps=stored, whiten=WhiteningByAir(), coils=coils)[0]
    inside = sample.target > 0.5 * sample.target.max()
    assert relative(sample.magnitude(sample.reference)[inside], sample.target[inside]) < error
    size = sample.operator.coil_maps.abs().square().sum(1)
    torch.testing.assert_close(size, torch.ones_like(size))
    assert sample.coil_maps_by == "those of maps.h5"


def test_strips_and_batches_are_shaded_too(scan) -> None:
    path, one = scan(), scan(0.01, np.eye(COILS), name="white.h5")
    whole = SliceDataset(path, RULE, whiten=WhiteningByAir())
    strip = SliceDataset(path, RULE, whiten=WhiteningByAir(), max_pixels=10 * 64)[0]
    assert strip.shading.shape == (10, 64)
    assert relative(strip.magnitude(strip.reference), strip.target) < 0.2
    batch = collate([whole[0], SliceDataset(one, RULE, whiten=WhiteningByAir())[0]])
    assert isinstance(batch, Batch) and batch.shading[1].equal(torch.ones(SHAPE))
    torch.testing.assert_close(batch.shading[0], whole[0].shading)
    moved = batch.to("meta")
    assert moved.shading.device.type == "meta"
    expected = whole[0].magnitude(whole[0].reference)
    torch.testing.assert_close(batch.magnitude(batch.reference)[0], expected)


def test_off_the_grid_coils_are_compressed_and_not_whitened(tmp_path: Path) -> None:
    points = (torch.rand(3000, 2, generator=torch.Generator().manual_seed(0)) - 0.5).double()
    points[:400] *= 0.2
    images, maps = coil_images(1)[:, :, ::3, ::2], MAPS[:, ::3, ::2]
    shape = tuple(images.shape[-2:])
    A = NDFTOperator(points, shape, maps.to(torch.complex128))
    image = (images * maps.conj()).sum(1).to(torch.complex128)
    path = write_noncartesian(
        tmp_path / "points.h5", A(image).numpy(), points.numpy(), shape, reference=images.numpy()
    )
    plain = SliceDataset(path, coil_maps=Auto())[0]
    dataset = SliceDataset(path, coil_maps=Auto(), whiten=WhiteningByAir(), coils=4)
    few = dataset[0]
    assert few.kspace.shape == (4, 3000) == (dataset.shape(0)[0], dataset.shape(0)[1])
    torch.testing.assert_close(few.target * few.scale, plain.target * plain.scale)
    assert relative(few.magnitude(few.reference), few.target) < 0.05
    told = preparation_told(dataset.volumes[0], [few.coil_maps_by])
    assert told == (
        "coils not whitened (its samples are off the grid); 4 of 6 coils kept;"
        f" coil maps {few.coil_maps_by}"
    )
    assert few.coil_maps_by == "espirit (kernel 6) from the centre"


def test_what_was_done_is_told(scan) -> None:
    path = scan()
    plain = SliceDataset(path, RULE)
    assert preparation_told(plain.volumes[0], ["a", "a", "b"]) == (
        "coils not whitened (not asked for); 6 of 6 coils kept; coil maps a; coil maps b"
    )
    both = SliceDataset(path, RULE, coil_maps=Auto(), whiten=WhiteningByAir(), coils=3)
    told = preparation_told(both.volumes[0], [both[0].coil_maps_by])
    assert told.startswith("coils whitened (noise of air, its power uneven by a factor of ")
    assert told.endswith("; 3 of 6 coils kept; coil maps espirit (kernel 6) from 15 lines")


@pytest.mark.parametrize("options, words", [({"coils": 0}, "coils: 0"), ({"whiten": 3}, "whiten")])
def test_what_cannot_be_asked_for_is_named(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Preparation(**options)
