"""`deqlab reconstruct` on radial and spiral files: right images at their own scale, honest
attributes, one line for every refusal.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.app.reconstructed import summary
from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data import open_volume, write_noncartesian
from deqlab.data.prepare.off_grid import scaled_density
from deqlab.operators import NDFTOperator
from deqlab.operators.off_resonance import ExactOffResonance
from deqlab.recon.base import Budget
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.registry import create
from deqlab.recon.weights import load, shipped_names
from deqlab.signal.coils.coil_maps import simulate_coil_maps
from deqlab.signal.sampling.density import ramp
from deqlab.signal.sampling.trajectories import GoldenAngles, Radial, Spiral, nyquist_spokes
from deqlab.signal.scan.gradients import Gradients

SHAPE = (28, 24)
SPIRAL = Spiral(5, gradients=Gradients(dwell=1e-5))
CHOICES = {
    "radial": Radial(nyquist_spokes(SHAPE), angles=GoldenAngles()),
    "spiral": SPIRAL,
    "few spokes": Radial(8, angles=GoldenAngles()),
}
ON_THE_GRID = [name for name in shipped_names() if load(name).takes.cartesian]
ANYWHERE = [name for name in shipped_names() if name not in ON_THE_GRID]


def images(slices: int = 2) -> torch.Tensor:
    """Blobs without sharp edges, complex128 (slices, y, x), maximum near 1."""
    y, x = torch.meshgrid(
        *[(torch.arange(side, dtype=torch.float64) - side // 2) / side for side in SHAPE],
        indexing="ij",
    )
    found = [
        torch.exp(-(y**2 + x**2) / 0.05)
        + 0.5 * torch.exp(-((y - 0.1) ** 2 + (x + 0.1 * n) ** 2) / 0.01)
        for n in range(slices)
    ]
    return torch.stack(found) * torch.exp(0.5j * x)


@pytest.fixture
def measured(tmp_path: Path):
    """`measured(name, ...)` writes a file of exact samples, and says where it is."""

    def write(
        name: str = "radial", coils: int | None = 3, intensity: float = 1.0, **options
    ) -> Path:
        points = CHOICES[name].sample(SHAPE)
        maps = (
            None if coils is None else simulate_coil_maps(coils, SHAPE, seed=0).to(torch.complex128)
        )
        kspace = intensity * NDFTOperator(points, SHAPE, maps)(images())
        kspace = kspace.numpy() if coils else kspace[:, 0].numpy()
        return write_noncartesian(
            tmp_path / "in.h5", kspace, points.numpy(), SHAPE, contrast="AXT2", **options
        )

    return write


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.h5"


def error(found: np.ndarray, intensity: float = 1.0) -> float:
    truth = images().abs().numpy()
    return float(np.linalg.norm(found.astype(float) / intensity - truth) / np.linalg.norm(truth))


def contracting() -> DEGrad:
    """A small equilibrium model that converges, with a denoiser near nothing: a data term and a
    little weight decay.
    """
    torch.manual_seed(0)
    denoiser = {"name": "dncnn", "depth": 2, "width": 4, "lipschitz": 0.5, "residual": False}
    return create("de-grad", denoiser=denoiser, step=0.5, weight=0.01).eval()


@pytest.mark.parametrize("name", ["radial", "spiral"])
@pytest.mark.parametrize("coils", [None, 3])
@pytest.mark.parametrize("intensity", [1.0, 1e-20, 1e15])
def test_full_sampling_gives_back_the_object_at_its_own_scale(
    measured, out, name, coils, intensity
) -> None:
    path = measured(name, coils, intensity)
    for model, limit in ((ZeroFilled(), 0.08), (CGSense(weight=1e-3), 0.05)):
        result = reconstruct_file(Request(path, out), model)
        assert result.images.shape == (2, *SHAPE) and result.images.dtype == np.float32
        assert error(result.images, intensity) < limit


def test_undersampled_spokes_are_undone_by_coils(measured, out) -> None:
    path = measured("few spokes", 3)
    found = {
        name: reconstruct_file(Request(path, out), create(name))
        for name in ("zero-filled", "cg-sense")
    }
    assert error(found["cg-sense"].images) < 0.75 * error(found["zero-filled"].images)


@pytest.mark.parametrize("name", ["radial", "spiral", "few spokes"])
def test_an_equilibrium_is_one_for_samples_off_the_grid_too(measured, out, name) -> None:
    request = Request(measured(name), out, attributes={"model": "small"})
    result = reconstruct_file(request, contracting(), Budget(1e-4, 100))
    assert result.converged == [True, True] and max(result.residual) <= 1e-4
    assert error(result.images) < 0.15
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["reconstruction"][()], result.images)
        assert file["reconstruction"].attrs["evaluations"].tolist() == result.evaluations
        assert file["reconstruction"].attrs["slices"].tolist() == [0, 1]
        assert (file.attrs["model"], file.attrs["source"], file.attrs["acquisition"]) == (
            "small",
            "in.h5",
            "AXT2",
        )
        assert "mask" not in file
    assert "2 slices of 28x24; 2 of 2 converged" in summary(result)


def test_slices_that_do_not_converge_are_told(measured, out) -> None:
    with pytest.warns(DeqlabWarning, match="in.h5: 2 of 2 slices did not converge"):
        reconstruct_file(Request(measured(), out), contracting(), Budget(1e-6, 2))


@pytest.mark.parametrize("unit", [1.0, 1e-4, 3e5])
def test_the_files_own_weights_are_used_in_whatever_unit(measured, out, unit) -> None:
    points = CHOICES["radial"].sample(SHAPE)
    own = ramp(points, SHAPE).numpy()
    path = measured(density=own * unit)
    volume = open_volume(path)
    found = scaled_density(volume.density(0), volume.trajectory(0), SHAPE).numpy()
    np.testing.assert_allclose(found / own, (found / own)[0], rtol=1e-6)
    assert (found / own)[0] == pytest.approx(1, abs=0.1)
    assert error(reconstruct_file(Request(path, out), ZeroFilled()).images) < 0.1


def test_a_trajectory_and_weights_of_each_slice(tmp_path, out) -> None:
    """Slices turned against each other and sampled in another order, chosen one at a time and all
    together.
    """
    turned = [
        Radial(nyquist_spokes(SHAPE) + 1, angles=GoldenAngles(n)).sample(SHAPE) for n in (1, 2)
    ]
    turned[1] = turned[1][
        torch.randperm(len(turned[1]), generator=torch.Generator().manual_seed(0))
    ]
    kspace = torch.stack(
        [NDFTOperator(points, SHAPE)(images()[n : n + 1])[0, 0] for n, points in enumerate(turned)]
    )
    path = write_noncartesian(
        tmp_path / "in.h5", kspace.numpy(), torch.stack(turned).numpy(), SHAPE
    )
    both = reconstruct_file(Request(path, out), CGSense(weight=1e-3))
    assert error(both.images) < 0.05
    second = reconstruct_file(Request(path, out, slices=[1]), CGSense(weight=1e-3))
    np.testing.assert_allclose(second.images[0], both.images[1], rtol=0, atol=1e-5)


def test_a_silent_slice_stays_silent(tmp_path, out) -> None:
    points = CHOICES["radial"].sample(SHAPE)
    kspace = NDFTOperator(points, SHAPE)(images())[:, 0].numpy()
    kspace[0] = 0
    path = write_noncartesian(tmp_path / "in.h5", kspace, points.numpy(), SHAPE)
    with pytest.warns(DeqlabWarning, match="1 of 2 slices hold only zeros"):
        result = reconstruct_file(Request(path, out), contracting())
    assert not result.images[0].any() and result.images[1].any()


@pytest.mark.parametrize("model", [ZeroFilled(), CGSense(weight=1e-3)])
def test_a_field_map_in_the_file_is_undone(tmp_path, out, model) -> None:
    slow = Spiral(2, gradients=Gradients(slew=8, dwell=2e-5))
    points, times = slow.sample(SHAPE), slow.readout_times(SHAPE)
    y, x = torch.meshgrid(
        *[torch.linspace(-1, 1, side, dtype=torch.float64) for side in SHAPE], indexing="ij"
    )
    field = (
        1.5 / slow.duration(SHAPE) * torch.exp(-(y**2 + x**2))
    )  # one turn and a half in the middle
    maps = simulate_coil_maps(3, SHAPE, seed=0).to(torch.complex128)
    kspace = ExactOffResonance(points, SHAPE, field, times, maps)(images()).numpy()
    given = (tmp_path / "in.h5", kspace, points.numpy(), SHAPE)
    path = write_noncartesian(
        *given, readout_times=times.numpy(), field_map=torch.stack([field, field]).numpy()
    )
    known = error(reconstruct_file(Request(path, out), model).images)
    ignored = error(reconstruct_file(Request(write_noncartesian(*given), out), model).images)
    assert known < 0.1 and known < 0.5 * ignored


@pytest.mark.parametrize("name", ["espirit", "espirit-cropped", "walsh", "file"])
def test_coil_maps_by_other_methods_and_from_a_file(measured, out, tmp_path, shell, name) -> None:
    maps = simulate_coil_maps(3, SHAPE, seed=0).numpy()
    with h5py.File(tmp_path / "maps.h5", "w") as file:
        file["coil_maps"] = np.stack([maps, maps])
    source = tmp_path / "maps.h5" if name == "file" else name
    status, output, errors = shell(
        measured(), out, "--model", "cg-sense", "--set", "weight=0.001", "--coil-maps", source
    )
    assert (status, errors) == (0, []) and "2 of 2 converged" in output
    with h5py.File(out) as file:
        # A blob has no edge: cropped maps cut its tails off.
        assert error(file["reconstruction"][()]) < (0.2 if name == "espirit-cropped" else 0.05)
    with h5py.File(tmp_path / "maps.h5", "r+") as file:
        del file["coil_maps"]
        file["coil_maps"] = maps[:, :-1]
    status, _, errors = shell(
        measured(), out, "--model", "cg-sense", "--coil-maps", tmp_path / "maps.h5"
    )
    assert (
        status == 2
        and len(errors) == 1
        and "maps.h5: coil_maps are for 3 coils of 27x24" in errors[0]
    )


@pytest.mark.parametrize("name", ["radial", "spiral"])
@pytest.mark.parametrize("model", ["zero-filled", "cg-sense", *ANYWHERE])
def test_shell_takes_shipped_models(shell, measured, out, name, model) -> None:
    status, output, errors = shell(measured(name), out, "--model", model, "--slices", "0:1")
    assert (status, errors) == (0, []) and "1 slice of 28x24" in output
    with h5py.File(out) as file:
        assert file["reconstruction"].shape == (1, *SHAPE) and file.attrs["model"] == model


@pytest.mark.parametrize("model", ON_THE_GRID)
def test_shipped_models_that_know_only_the_grid_say_so(shell, measured, out, model) -> None:
    status, _, errors = shell(measured(), out, "--model", model)
    assert status == 2 and len(errors) == 1 and not out.exists()
    assert "takes samples of a Cartesian grid; NUFFTOperator given; use cg-sense" in errors[0]


def test_every_bad_input_is_one_line_and_leaves_no_output(shell, measured, out, tmp_path) -> None:
    path = measured()
    far = tmp_path / "far.h5"
    far.write_bytes(path.read_bytes())
    with h5py.File(far, "r+") as file:
        file["trajectory"][3, 0] = 99
    hollow = tmp_path / "hollow.h5"
    points = CHOICES["radial"].sample((40, 40))
    rim = points[points.norm(dim=1) > 0.45].numpy()
    write_noncartesian(hollow, np.ones((1, 2, len(rim)), np.complex64), rim, (40, 40))
    for source, options, message in (
        (far, (), "far.h5: trajectory reaches 99 in ky; cycles per pixel within +-0.5 needed"),
        (hollow, (), "hollow.h5: coil maps: trajectory: its nearest sample is"),
        (path, ("--acceleration", 4), "--acceleration: 4.0 given, but"),
        (path, ("--center-fraction", 0.1), "--center-fraction: 0.1 given, but"),
        (path, ("--mask", "random"), "--mask: random given, but"),
        (path, ("--seed", 0), "--seed: 0 given, but"),
        (path, ("--slices", "2"), "in.h5: has no slice 2"),
    ):
        status, _, errors = shell(source, out, "--model", "cg-sense", *options)
        assert status == 2 and len(errors) == 1 and message in errors[0], (message, errors)
    status, _, errors = shell(path, path, "--model", "cg-sense")
    assert status == 2 and "is the input itself" in errors[0]
    assert not out.exists() and not any(file.name.startswith(".") for file in tmp_path.iterdir())


def test_intensities_beyond_float32_are_refused(tmp_path, out) -> None:
    points = CHOICES["radial"].sample(SHAPE)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["kspace"] = NDFTOperator(points, SHAPE)(images())[:, 0].numpy() * 1e-60
        file["trajectory"] = points.numpy() * SHAPE
        file.attrs["matrix"] = SHAPE
    with pytest.raises(InputError, match="in.h5: slice 0 has the peak .* rescale"):
        reconstruct_file(Request(tmp_path / "in.h5", out), ZeroFilled())
