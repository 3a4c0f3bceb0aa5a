"""`deqlab reconstruct`: right images and scale, honest attributes, no half output."""

from __future__ import annotations

import json
import math
import os
import resource
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data import write_volume
from deqlab.data.sampling import Seeded
from deqlab.recon.base import Budget, Method, Outcome
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.registry import create
from deqlab.recon.weights import save
from deqlab.signal.coils.air_noise import NoWhitening, WhiteningByAir
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask

FULL = RandomMask(1, 0.3)


def volume(
    slices: int = 2, coils: int = 3, rows: int = 40, columns: int = 24, intensity: float = 1.0
) -> np.ndarray:
    """Fully sampled k-space of smooth blobs, complex64 (slices, coil, rows, columns)."""
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    images = np.empty((slices, coils, rows, columns), complex)
    for position in range(slices):
        head = np.exp(-((y / 0.2) ** 2) - (x / 0.5) ** 2) + 0.5 * np.exp(
            -(((y - 0.1) / 0.05) ** 2) - ((x + 0.1 * position) / 0.1) ** 2
        )
        for coil in range(coils):
            angle = 2 * np.pi * coil / coils
            images[position, coil] = (
                intensity
                * head
                * np.exp(0.4 * (x * np.cos(angle) + y * np.sin(angle)) + 1j * (angle + 0.3 * x))
            )
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes), norm="ortho"), axes).astype(
        np.complex64
    )


@pytest.fixture
def full(tmp_path: Path) -> Path:
    return write_volume(tmp_path / "full.h5", volume(), "AXT2", (20, 22))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.h5"


def contracting(width: int = 4) -> DEGrad:
    """A small equilibrium model that converges: its map is a contraction whatever its weights."""
    torch.manual_seed(0)
    denoiser = {"name": "dncnn", "depth": 2, "width": width, "lipschitz": 0.5, "residual": False}
    return create("de-grad", denoiser=denoiser, step=0.5).eval()


def relative(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize(
    "rows, columns, recon",
    [(40, 24, (20, 22)), (41, 25, (21, 19)), (30, 21, (30, 21)), (33, 20, (16, 15))],
)
@pytest.mark.parametrize("intensity", [1.0, 1e-20, 1e15])
def test_full_sampling_gives_back_the_target_at_its_own_scale(
    tmp_path, out, rows, columns, recon, intensity
):
    for coils, tolerance in ((1, 1e-5), (3, 0.03)):
        path = write_volume(
            tmp_path / "v.h5",
            volume(1, coils, rows, columns, intensity)[:, 0 if coils == 1 else slice(None)],
            "AXT2",
            recon,
        )
        reconstruct_file(Request(path, out, FULL), ZeroFilled())
        with h5py.File(path) as source, h5py.File(out) as file:
            target = source["reconstruction_esc" if coils == 1 else "reconstruction_rss"][
                ()
            ].astype(float)
            images = file["reconstruction"]
            assert images.dtype == np.float32 and images.shape == (1, *recon)
            assert relative(images[()].astype(float), target) < tolerance


def test_masked_and_undersampled_input_give_the_same_images(tmp_path, full, out):
    rule = EquispacedMask(2, 0.3)
    mask = rule.sample(24, 5)
    first = reconstruct_file(Request(full, out, Seeded(rule, 5)), CGSense())
    masked = write_volume(tmp_path / "masked.h5", volume(), "AXT2", (20, 22), mask=mask.numpy())
    second = reconstruct_file(Request(masked, out), CGSense())
    np.testing.assert_allclose(
        first.images, second.images, rtol=1e-4, atol=1e-5 * first.images.max()
    )
    np.testing.assert_array_equal(first.mask, mask.numpy())
    assert (
        relative(first.images, np.roll(second.images, 1, 0)) > 0.01
    )  # slices differ, so the order was compared too


def test_the_file_tells_how_every_slice_was_solved(full, out):
    model = contracting()
    request = Request(full, out, Seeded(RandomMask(2, 0.3), 0), attributes={"model": "small"})
    result = reconstruct_file(request, model)
    with h5py.File(out) as file:
        data = file["reconstruction"]
        np.testing.assert_array_equal(data[()], result.images)
        assert (
            data.attrs["evaluations"].tolist() == result.evaluations
            and 1 < min(result.evaluations) <= 50
        )
        assert (
            data.attrs["converged"].tolist() == [True, True]
            and data.attrs["residual"].max() <= 1e-3
        )
        assert data.attrs["slices"].tolist() == [0, 1]
        assert (
            file.attrs["model"] == "small"
            and file.attrs["source"] == "full.h5"
            and file.attrs["acquisition"] == "AXT2"
        )
    longer = reconstruct_file(request, model, Budget(1e-6))
    assert min(longer.evaluations) > max(result.evaluations) and max(longer.residual) <= 1e-6


def test_slices_that_do_not_converge_are_told(full, out):
    request = Request(full, out, Seeded(RandomMask(2, 0.3), 0))
    with pytest.warns(DeqlabWarning, match="full.h5: 2 of 2 slices did not converge"):
        result = reconstruct_file(request, contracting(), Budget(1e-6, 2))
    assert (
        result.converged == [False, False]
        and result.evaluations == [2, 2]
        and min(result.residual) > 1e-6
    )


def test_a_method_without_solver_claims_no_convergence(full, out):
    reconstruct_file(Request(full, out, FULL), ZeroFilled())
    with h5py.File(out) as file:
        assert set(file["reconstruction"].attrs) == {"slices", "noise", "coil_maps_explain"}


def test_scaling_the_input_scales_the_output_and_nothing_else(tmp_path, full, out):
    scaled = write_volume(tmp_path / "scaled.h5", volume(intensity=2.0**-40), "AXT2", (20, 22))
    rule = Seeded(RandomMask(2, 0.3), 1)
    one, other = (
        reconstruct_file(Request(path, out, rule), contracting()) for path in (full, scaled)
    )
    assert one.evaluations == other.evaluations
    np.testing.assert_allclose(other.images * 2.0**40, one.images, rtol=1e-5)


def test_an_empty_slice_gives_an_empty_image(tmp_path, out):
    kspace = volume()
    kspace[1] = 0
    path = write_volume(tmp_path / "v.h5", kspace, "AXT2", (20, 22))
    with pytest.warns(DeqlabWarning, match=r"v.h5: 1 of 2 slices hold only zeros \(first: slice 1"):
        result = reconstruct_file(Request(path, out, Seeded(RandomMask(2, 0.3), 1)), contracting())
    assert (
        result.images[0].any() and not result.images[1].any() and result.converged == [True, True]
    )


def test_columns_that_were_not_acquired_are_no_samples(tmp_path, out):
    path = write_volume(tmp_path / "v.h5", volume(), "AXT2", (20, 22), acquired=(3, 22))
    assert np.flatnonzero(
        reconstruct_file(Request(path, out, FULL), ZeroFilled()).mask
    ).tolist() == list(range(3, 22))


def test_chosen_slices_only(full, out):
    everything = reconstruct_file(Request(full, out, FULL), ZeroFilled())
    one = reconstruct_file(Request(full, out, FULL, slices=[1]), ZeroFilled())
    np.testing.assert_array_equal(one.images[0], everything.images[1])
    with h5py.File(out) as file:
        assert file["reconstruction"].attrs["slices"].tolist() == [1]


def test_two_dimensional_masks(tmp_path, out):
    mask = np.random.default_rng(0).random((40, 24)) < 0.6
    mask[10:30, 6:18] = True
    path = write_volume(tmp_path / "v.h5", volume(), "AXT2", (20, 22), mask=mask)
    truth = write_volume(tmp_path / "t.h5", volume(), "AXT2", (20, 22))
    result = reconstruct_file(Request(path, out), CGSense(weight=1e-3))
    with h5py.File(truth) as file:
        assert (
            result.images.shape == (2, 20, 22)
            and relative(result.images, file["reconstruction_rss"][()]) < 0.1
        )


class Failing(Method):
    """A method that breaks at its second slice, or returns what is no image."""

    def __init__(self, error: BaseException | None):
        self.error, self.calls = error, 0

    def reconstruct(self, kspace, A, budget) -> Outcome:
        self.calls += 1
        if self.error is None:
            return Outcome(A.H(kspace) * math.nan)
        if self.calls == 2:
            raise self.error
        return Outcome(A.H(kspace))


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize(
    "error, raised",
    [
        (RuntimeError("no"), RuntimeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (None, InputError),
    ],
)
def test_a_failure_leaves_no_half_written_output(full, out, before, error, raised):
    if before is not None:
        out.write_bytes(before)
    with pytest.raises(raised):
        reconstruct_file(Request(full, out, FULL), Failing(error))
    assert (out.read_bytes() if out.exists() else None) == before
    assert {path.name for path in out.parent.iterdir()} <= {"full.h5", "out.h5"}


def test_a_full_disk_is_told_before_the_work(full, out):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    model = Failing(RuntimeError())
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(InputError, match="out.h5: could not be written"):
            reconstruct_file(Request(full, out, FULL), model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert model.calls == 0 and not out.exists() and list(out.parent.iterdir()) == [full]


def test_output_over_the_input_is_refused(full):
    link = full.with_name("link.h5")
    link.symlink_to(full)
    for same in (full, link):
        with pytest.raises(InputError, match="is the input itself"):
            reconstruct_file(Request(full, same, FULL), ZeroFilled())


def test_undersampled_files_that_do_not_say_so_are_refused(tmp_path, out):
    kspace = volume()
    kspace[..., 1::2] = 0
    path = write_volume(tmp_path / "v.h5", kspace, "AXT2", (20, 22))
    with pytest.raises(
        InputError, match=r"v.h5: slice \d: 4\d% of kspace is exactly zero but there is no `mask`"
    ):
        reconstruct_file(Request(path, out, FULL), ZeroFilled())
    edges = write_volume(tmp_path / "e.h5", volume(), "AXT2", (20, 22), acquired=(4, 22))
    # Columns that were never acquired are no such thing.
    reconstruct_file(Request(edges, out, FULL), ZeroFilled())


def test_mask_and_undersampling_exclude_each_other(tmp_path, full, out):
    masked = write_volume(
        tmp_path / "masked.h5", volume(), "AXT2", (20, 22), mask=np.ones(24, bool)
    )
    with pytest.raises(InputError, match="masked.h5: is undersampled already"):
        reconstruct_file(Request(masked, out, FULL), ZeroFilled())
    with pytest.raises(InputError, match="full.h5: is fully sampled"):
        reconstruct_file(Request(full, out), ZeroFilled())


def test_intensities_beyond_float32_are_refused(tmp_path, out):
    path = tmp_path / "v.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = volume().astype(complex) * 1e-60
    with (
        pytest.warns(DeqlabWarning),
        pytest.raises(InputError, match="v.h5: slice 0 has the peak .* rescale"),
    ):
        reconstruct_file(Request(path, out, FULL), ZeroFilled())


@pytest.mark.parametrize(
    "tolerance, evaluations", [(0, None), (1.0, None), (math.nan, None), (None, 0)]
)
def test_solver_settings_out_of_range_are_refused(full, out, tolerance, evaluations):
    with pytest.raises(InputError, match="tolerance|max_evaluations"):
        Budget(tolerance, evaluations)
    with pytest.raises(InputError, match="ZeroFilled: has no solver"):
        reconstruct_file(Request(full, out, FULL), ZeroFilled(), Budget(1e-3))
    assert not out.exists()


# From the shell


def test_shell_undersamples_as_told(shell, full, out):
    words = (
        "--model",
        "cg-sense",
        "--acceleration",
        3,
        "--center-fraction",
        0.2,
        "--mask",
        "equispaced",
        "--seed",
        4,
    )
    status, output, errors = shell(full, out, *words)
    assert (status, errors) == (
        0,
        [],
    ) and "2 slices of 20x22, 3.0x undersampled; 2 of 2 converged" in output
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["mask"], EquispacedMask(3, 0.2).sample(24, 4).numpy())
        assert file.attrs["model"] == "cg-sense"
    assert shell(full, out, *words, "--tolerance", 1e-2, "--slices", "1:2")[0] == 0
    with h5py.File(out) as file:
        assert (
            file["reconstruction"].attrs["slices"].tolist() == [1]
            and file["reconstruction"].attrs["residual"][0] > 1e-5
        )


def test_shell_takes_weights_of_ones_own(shell, full, out, tmp_path):
    save(contracting(), tmp_path / "mine", {})
    status, output, errors = shell(
        full, out, "--model", tmp_path / "mine.json", "--acceleration", 2
    )
    assert (status, errors) == (0, []) and "2 of 2 converged" in output
    card = json.loads((tmp_path / "mine.json").read_text())
    card["options"]["denoiser"]["width"] = 5
    (tmp_path / "mine.json").write_text(json.dumps(card))
    status, _, errors = shell(full, out, "--model", tmp_path / "mine.json", "--acceleration", 2)
    assert (
        status == 2
        and len(errors) == 1
        and "mine.safetensors: tensor" in errors[0]
        and "shape" in errors[0]
    )


def test_every_bad_input_is_one_line_and_leaves_no_output(shell, full, out, tmp_path):
    masked = write_volume(
        tmp_path / "masked.h5", volume(), "AXT2", (20, 22), mask=np.ones(24, bool)
    )
    (tmp_path / "text.h5").write_text("no")
    (tmp_path / "cut.h5").write_bytes(full.read_bytes()[:5000])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["kspace"] = h5py.ExternalLink(str(full), "/kspace")
    cases = [
        ((tmp_path / "none.h5",), "none.h5: no such file"),
        ((tmp_path / "text.h5",), "text.h5: not a readable HDF5 file"),
        ((tmp_path / "cut.h5",), "cut.h5: truncated"),
        ((tmp_path / "link.h5",), "link.h5: kspace is an external link"),
        ((masked, "--acceleration", 4), "masked.h5: is undersampled already"),
        ((masked, "--seed", 4), "masked.h5: is undersampled already"),
        ((full, "--center-fraction", 0), "full.h5: mask: no calibration lines"),
        ((full, "--acceleration", 0.5), "--acceleration: 0.5 given"),
        ((full, "--center-fraction", 0.9), "center_fraction: 0.9 given"),
        ((full, "--seed", -1), "--seed: -1 given"),
        ((full, "--slices", "2"), "full.h5: has no slice 2"),
        ((full, "--slices", "x"), "--slices: 'x' given; all, START:STOP"),
        ((full, "--tolerance", 0), "tolerance: 0.0 given"),
        ((full, "--max-evaluations", 0), "max_evaluations: 0 given"),
    ]
    for (source, *options), message in cases:
        status, _, errors = shell(source, out, "--model", "cg-sense", *options)
        assert status == 2 and len(errors) == 1 and message in errors[0], (message, errors)
    for model, place, message in (
        ("cg-sence", out, "unknown model 'cg-sence'"),
        ("cg-sense", tmp_path / "nowhere" / "out.h5", "nowhere does not exist"),
        ("cg-sense", tmp_path, "is a folder"),
    ):
        status, _, errors = shell(full, place, "--model", model)
        assert status == 2 and len(errors) == 1 and message in errors[0], (message, errors)
    assert not out.exists() and not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_absent_header_is_one_line_of_warning(shell, tmp_path, out):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["kspace"] = volume()
    status, output, errors = shell(tmp_path / "v.h5", out, "--model", "cg-sense")
    assert status == 0 and "2 slices of 40x24" in output
    assert errors and all(
        "deqlab: warning:" in line and "no ismrmrd_header" in line for line in errors
    )


real_data = pytest.mark.skipif(
    "DEQLAB_REAL_DATA" not in os.environ,
    reason="DEQLAB_REAL_DATA names no folder of measured files",
)


@real_data
def test_measured_brain_undersampled_in_two_directions_agrees_with_its_samples(tmp_path, out):
    """CG-SENSE on a masked multi-coil file sharpens what zero filling blurs."""
    kspace = np.load(Path(os.environ["DEQLAB_REAL_DATA"]) / "sigpy_brain_8ch_masked_ksp.npy")
    path = write_volume(
        tmp_path / "brain.h5",
        kspace[None],
        "AXT1",
        kspace.shape[-2:],
        mask=np.abs(kspace).sum(0) > 0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = {
            name: reconstruct_file(Request(path, out), create(name)).images[0]
            for name in ("zero-filled", "cg-sense")
        }
    sharpness = {
        name: float(np.abs(np.diff(image, axis=0)).sum() / image.sum())
        for name, image in images.items()
    }
    assert sharpness["cg-sense"] > 1.5 * sharpness["zero-filled"]


@pytest.mark.parametrize("how", ["lowres", "espirit-cropped", "walsh", "file"])
def test_coil_maps_are_those_that_were_asked_for(shell, full, tmp_path, out, how):
    if how == "file":
        maps = np.zeros((3, 40, 24), np.complex64)
        maps[0] = 1
        with h5py.File(tmp_path / "maps.h5", "w") as file:
            file["coil_maps"] = maps
        how = str(tmp_path / "maps.h5")
    status, _, errors = shell(
        full, out, "--model", "cg-sense", "--acceleration", "1", "--coil-maps", how
    )
    assert status == 0, errors
    with h5py.File(out) as file:
        images = file["reconstruction"][:]
    kspace = volume()
    coil_images = np.fft.fftshift(
        np.fft.ifft2(np.fft.ifftshift(kspace, (-2, -1)), norm="ortho"), (-2, -1)
    )[..., 10:30, 1:23]
    seen = (
        np.abs(coil_images[:, 0])
        if how.endswith("maps.h5")
        else np.sqrt((np.abs(coil_images) ** 2).sum(1))
    )
    # cg-sense with its weight of 1e-2 darkens by as much.
    assert relative(images * 1.01, seen) < 0.05


def test_coil_maps_that_are_neither_method_nor_file_are_named(shell, full, out):
    status, _, errors = shell(full, out, "--model", "cg-sense", "--coil-maps", "esprit")
    assert status == 2 and "'esprit'" in errors[-1] and "espirit" in errors[-1] and not out.exists()


def noisy(path: Path, noise: float = 0.02) -> Path:
    """A file of four coils, the first of which is four times as loud as the others."""
    kspace = volume(coils=4, rows=64, columns=48)
    parts = np.random.default_rng(0).standard_normal((*kspace.shape, 2)) @ [1, 1j]
    parts[:, 0] *= 4
    return write_volume(path, (kspace + noise * parts).astype(np.complex64), "AXT2", (64, 48))


def test_how_the_data_were_prepared_is_printed_and_stored(shell, tmp_path, out):
    words = noisy(tmp_path / "noisy.h5"), out, "--model", "cg-sense", "--acceleration", "2"
    status, output, errors = shell(*words, "--coils", "3")
    assert status == 0, errors
    line = output.splitlines()[1]
    assert line.startswith("prepared: noise ") and "% of max |A^H y|; coils whitened (noise" in line
    assert "; 3 of 4 coils kept; coil maps espirit (kernel " in line
    assert " lines; coil maps explain " in line and line.endswith("% of the centre")
    with h5py.File(out) as file:
        assert file.attrs["preparation"] in line
        noise = file["reconstruction"].attrs["noise"]
        assert noise.shape == (2,) and f"noise {np.median(noise):.2%} of" in line
    status, output, _ = shell(*words, "--whiten", "none", "--coil-maps", "lowres")
    assert "coils not whitened (not asked for); 4 of 4 coils kept; coil maps lowres" in output


def test_whitened_coils_give_an_image_of_the_same_shading_with_less_noise(tmp_path, out):
    path, truth = noisy(tmp_path / "noisy.h5"), np.linalg.norm(blobs(), axis=1)
    plain, white = (
        reconstruct_file(Request(path, out, FULL, whiten=how), CGSense()).images * 1.01
        for how in (NoWhitening(), WhiteningByAir())
    )
    inside = truth > 0.1
    assert relative(white[inside], truth[inside]) < 0.7 * relative(plain[inside], truth[inside])
    assert relative(white[inside], truth[inside]) < 0.06


def blobs() -> np.ndarray:
    """The coil images of `noisy` without noise."""
    axes = (-2, -1)
    kspace = np.fft.ifftshift(volume(coils=4, rows=64, columns=48), axes)
    return np.fft.fftshift(np.fft.ifft2(kspace, norm="ortho"), axes)


def test_what_the_shell_cannot_prepare_is_named(shell, full, out):
    for words, told in (
        (["--whiten", "atuo"], "did you mean auto?"),
        (["--coils", "0"], "coils: 0 given"),
    ):
        status, _, errors = shell(full, out, "--model", "zero-filled", *words)
        assert status == 2 and told in errors[-1] and not out.exists()
