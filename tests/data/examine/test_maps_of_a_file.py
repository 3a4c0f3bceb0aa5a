"""Maps of a file are compared with the calibration lines, and given the phase that models know."""

from __future__ import annotations

import warnings

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.app.reconstructed import prepared
from deqlab.core.errors import DeqlabWarning
from deqlab.data import SliceDataset, write_noncartesian
from deqlab.data.prepare.stored_maps import StoredMaps
from deqlab.operators import NDFTOperator
from deqlab.recon import create
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.explained import explained_share
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.sampling.trajectories import Radial

from .conftest import COILS, SIDE, coil_maps, head, kspace, lines

MASK = lines()
CENTER = slice(SIDE // 2 - 5, SIDE // 2 + 5)
TRUE = coil_maps() * np.exp(1j * np.angle(head()))
WRONG = {
    "conjugate": TRUE.conj(),
    "exchanged": TRUE[[1, 0, 2, 3]],
    "moved on": np.roll(TRUE, 1, 0),
    "transposed": TRUE.swapaxes(-1, -2),
    "fft order": np.fft.fftshift(TRUE, axes=(-2, -1)),
    "upside down": TRUE[:, ::-1],
    "shifted": np.roll(TRUE, 16, -1),
    "five columns off": np.roll(TRUE, 5, -1),
    "five rows off": np.roll(TRUE, -5, -2),
    "four of both off": np.roll(TRUE, (4, -4), (-2, -1)),
    "mirrored": TRUE[..., ::-1],
    "quarter turn": np.rot90(TRUE, 1, (-2, -1)),
    "of half the field of view": TRUE.repeat(2, -1)[..., SIDE // 2 : -SIDE // 2],
    "two exchanged of the last": TRUE[[0, 1, 3, 2]],
    "negated": TRUE * np.array([1, 1, -1, 1])[:, None, None],
    "foreign": np.exp(2j * np.pi * np.random.default_rng(0).random((COILS, SIDE, SIDE))),
}


@pytest.fixture
def maps_file(tmp_path):
    def write(maps: np.ndarray) -> StoredMaps:
        with h5py.File(tmp_path / "maps.h5", "w") as file:
            file["coil_maps"] = maps.astype(np.complex64)
        return StoredMaps(tmp_path / "maps.h5")

    return write


def sample(path, maps: StoredMaps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeqlabWarning)
        return SliceDataset(path, coil_maps=maps)[0]


@pytest.mark.parametrize("name", WRONG)
def test_maps_that_explain_the_lines_badly_are_told(stored, maps_file, name: str) -> None:
    path = stored(kspace() * MASK, mask=MASK)
    words = r"maps.h5: coil_maps explain \d+\.\d% of the calibration lines of scan.h5 slice 0"
    with pytest.warns(DeqlabWarning, match=words):
        found = SliceDataset(path, coil_maps=maps_file(WRONG[name]))[0]
    assert found.maps_explain is not None and found.maps_explain < 0.992


@pytest.mark.parametrize("noise", [0, 0.004, 0.03, 0.1, 0.2])
def test_honest_maps_pass(stored, maps_file, noise: float) -> None:
    full = kspace(noise=noise)
    path = stored(full * MASK, mask=MASK)
    wide = slice(SIDE // 2 - 12, SIDE // 2 + 12)
    sigpys = TRUE * np.exp(-1j * np.angle(TRUE[0]))
    honest = [torch.from_numpy(TRUE), torch.from_numpy(sigpys)] + [
        method.estimate(torch.from_numpy(samples[0]), wide)
        # Of a reference scan without noise, and of this one with its own.
        for samples in (kspace(), full)
        for method in (LowResolution(), ESPIRiT(), ESPIRiT(outside="zero"), Walsh())
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeqlabWarning)
        for maps in honest:
            found = SliceDataset(path, coil_maps=maps_file(maps.numpy()))[0]
            assert 0.96 < found.maps_explain <= 1


def test_lines_of_noise_say_nothing_of_maps() -> None:
    noise = torch.randn(COILS, SIDE, SIDE, dtype=torch.complex64)
    assert explained_share(noise, torch.from_numpy(TRUE).to(noise), CENTER) is None


def test_every_phase_convention_becomes_the_librarys(stored, maps_file) -> None:
    """The first coil real, the object's phase left in the image, any phase: one operator."""
    path = stored(kspace() * MASK, mask=MASK)
    own = sample(path, maps_file(TRUE)).operator.coil_maps
    for phase in (-np.angle(TRUE[0]), -np.angle(head()), 2 + np.arange(SIDE) / 5):
        other = sample(path, maps_file(TRUE * np.exp(1j * phase))).operator.coil_maps
        torch.testing.assert_close(other, own, atol=1e-5, rtol=0)
    image = sample(path, maps_file(TRUE)).operator.H(sample(path, maps_file(TRUE)).kspace[None])
    inside = image.abs() > 0.3 * image.abs().max()
    assert float(image.angle()[inside].abs().mean()) < 0.15


def test_off_the_grid_the_centre_of_the_trajectory_is_asked(tmp_path, maps_file) -> None:
    points = Radial(60).sample((SIDE, SIDE))
    samples = NDFTOperator(points, (SIDE, SIDE), torch.from_numpy(coil_maps()))(
        torch.from_numpy(head())[None]
    )
    path = write_noncartesian(tmp_path / "a.h5", samples.numpy(), points.numpy(), (SIDE, SIDE))
    assert sample(path, maps_file(TRUE)).maps_explain > 0.97
    with pytest.warns(DeqlabWarning, match="maps.h5: coil_maps explain"):
        SliceDataset(path, coil_maps=maps_file(TRUE.conj()))[0]


def test_the_share_is_stored_and_said(stored, maps_file, tmp_path) -> None:
    path = stored(kspace() * MASK, mask=MASK)
    request = Request(path, tmp_path / "out.h5", coil_maps=maps_file(TRUE))
    result = reconstruct_file(request, create("zero-filled"))
    with h5py.File(tmp_path / "out.h5") as file:
        shares = file["reconstruction"].attrs["coil_maps_explain"]
    assert shares.shape == (3,) and (shares > 0.97).all()
    assert "coil maps explain 9" in prepared(result) or "explain 100.0%" in prepared(result)
