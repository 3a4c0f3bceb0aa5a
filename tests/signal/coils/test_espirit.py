"""ESPIRiT: the eigenvectors of its definition, true maps inside an object, and a map of at most
unit norm everywhere.
"""

import os
from pathlib import Path

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps, rss, simulate_coil_maps
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.transforms.fourier import fft2c, ifft2c


def disc(rows: int, columns: int) -> torch.Tensor:
    """A disc with structure and a smooth phase in empty space, complex128 (y, x)."""
    y = torch.linspace(-1, 1, rows, dtype=torch.float64)[:, None]
    x = torch.linspace(-1, 1, columns, dtype=torch.float64)[None, :]
    radius = (x**2 + y**2).sqrt()
    magnitude = torch.sigmoid((0.7 - radius) * 40) * (1 + 0.3 * torch.cos(7 * x) * torch.cos(5 * y))
    return magnitude * torch.exp(1j * (0.8 * x + 0.5 * y))


def measured(
    shape: tuple[int, int], coils: int = 4, seed: int = 0, noise: float = 1e-3
) -> tuple[torch.Tensor, torch.Tensor]:
    """(k-space, true maps), complex128 (coil, y, x)."""
    maps = simulate_coil_maps(coils, shape, seed).to(torch.complex128)
    kspace = fft2c(maps * disc(*shape))
    generator = torch.Generator().manual_seed(seed)
    return kspace + noise * torch.randn(kspace.shape, generator=generator, dtype=kspace.dtype), maps


def middle(columns: int, count: int) -> slice:
    start = columns // 2 - count // 2
    return slice(start, start + count)


@pytest.mark.parametrize(
    "shape, kernel, threshold",
    [((14, 17), 3, 0.05), ((16, 12), (4, 3), 0.2), ((9, 10), (2, 5), 0.02)],
)
def test_maps_and_eigenvalues_are_those_of_the_definition(shape, kernel, threshold):
    """Right singular vectors of the calibration matrix as plane waves at every pixel, dense, with
    formulas from the paper.
    """
    kspace, _ = measured(shape, coils=3)
    lines = middle(shape[1], 8)
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    block = kspace[..., lines]
    patches = torch.stack(
        [
            block[:, top : top + sides[0], left : left + sides[1]].flatten()
            for top in range(block.shape[1] - sides[0] + 1)
            for left in range(block.shape[2] - sides[1] + 1)
        ]
    )
    _, strengths, right = torch.linalg.svd(patches, full_matrices=False)
    kept = right[strengths > threshold * strengths[0]].reshape(-1, 3, *sides)
    maps, values = ESPIRiT(kernel, threshold, crop=0.0).eigen(kspace, lines)
    for y in range(0, shape[0], 3):
        for x in range(shape[1]):
            angle = (
                torch.arange(sides[0])[:, None] * (y - shape[0] // 2) / shape[0]
                + torch.arange(sides[1]) * (x - shape[1] // 2) / shape[1]
            )
            wave = torch.exp(2j * torch.pi * angle.to(torch.float64))
            seen = (kept * wave).sum((-2, -1))
            eigenvalues, vectors = torch.linalg.eigh(seen.mT @ seen.conj() / (sides[0] * sides[1]))
            assert values[y, x] == pytest.approx(float(eigenvalues[-1]), abs=2e-3)
            if eigenvalues[-1] - eigenvalues[-2] > 0.1:
                assert (vectors[:, -1].conj() @ maps[:, y, x]).abs() > 0.999


@pytest.mark.parametrize("shape", [(48, 48), (47, 50), (64, 45)])
@pytest.mark.parametrize("coils", [2, 5])
def test_true_maps_are_found_inside_the_object(shape, coils):
    kspace, true = measured(shape, coils)
    maps, values = ESPIRiT().eigen(kspace, middle(shape[1], 20))
    inside = disc(*shape).abs() > 0.5
    assert (maps.conj() * true).sum(0).abs()[inside].min() > 0.998
    assert values[inside].min() > 0.98 and values[disc(*shape).abs() < 1e-3].mean() < 0.9


def test_norms_are_one_or_where_asked_zero():
    kspace, _ = measured((40, 44))
    lines = middle(44, 16)
    torch.testing.assert_close(
        rss(ESPIRiT().estimate(kspace, lines)), torch.ones(40, 44, dtype=torch.float64)
    )
    maps, values = ESPIRiT(crop=0.95, outside="zero").eigen(kspace, lines)
    torch.testing.assert_close(rss(maps), (values > 0.95).double())
    assert 0.2 < float(rss(maps).mean()) < 0.8
    A = CartesianOperator(torch.rand(44) < 0.5, maps)
    assert float(A.norm(torch.randn(1, 40, 44, dtype=torch.complex128))[0]) <= 1 + 1e-9


def test_phase_follows_the_chosen_reference():
    kspace, _true = measured((48, 48))
    lines, inside = middle(48, 20), disc(48, 48).abs() > 0.5
    coil_images = ifft2c(kspace)
    spread = {}
    for phase in ("low-resolution", "virtual-coil"):
        maps = ESPIRiT(phase=phase).estimate(kspace, lines)
        spread[phase] = 1 - float(
            torch.sgn((maps.conj() * coil_images).sum(0))[inside].mean().abs()
        )
    assert spread["low-resolution"] < 0.01 < 0.05 < spread["virtual-coil"]
    low = LowResolution().estimate(kspace, lines)
    inner = (low.conj() * ESPIRiT().estimate(kspace, lines)).sum(0)
    assert inner.imag.abs().max() < 1e-9 and inner.real.min() >= 0
    # The virtual coil sees itself without phase, which a phase of the object does not change.
    turned = fft2c(coil_images * torch.exp(2j * disc(48, 48).imag))
    one, other = (ESPIRiT(phase="virtual-coil").estimate(k, lines) for k in (kspace, turned))
    assert (one.conj() * other).sum(0)[inside].real.min() > 0.99


def test_neither_scale_nor_batch_mates_nor_precision_matter():
    kspace = torch.stack([measured((40, 36), seed=seed)[0] for seed in (1, 2)])
    lines = middle(36, 16)
    maps = estimate_coil_maps(kspace, lines, ESPIRiT())
    assert maps.shape == kspace.shape
    trusted = ESPIRiT().eigen(kspace[1], lines)[1] > 0.95
    for factor in (1e-20, 1.0, 1e20):
        alone = estimate_coil_maps(factor * kspace[1], lines, ESPIRiT())
        assert (alone - maps[1]).abs()[:, trusted].max() < 2e-3
    single = estimate_coil_maps(kspace.to(torch.complex64), lines, ESPIRiT())
    assert single.dtype == torch.complex64 and (single - maps).abs()[1][:, trusted].max() < 5e-3


def test_only_the_calibration_block_is_read():
    kspace, _ = measured((32, 32))
    outside = torch.full_like(kspace, float("inf"))
    lines, rows = middle(32, 12), slice(8, 25)
    outside[..., lines] = kspace[..., lines]
    assert estimate_coil_maps(outside, lines, ESPIRiT(4)).equal(
        estimate_coil_maps(kspace, lines, ESPIRiT(4))
    )
    block = torch.zeros_like(kspace)
    block[:, rows, lines] = kspace[:, rows, lines]
    assert estimate_coil_maps(block, lines, ESPIRiT(4), rows).equal(
        estimate_coil_maps(kspace, lines, ESPIRiT(4), rows)
    )
    assert not estimate_coil_maps(kspace, lines, ESPIRiT(4), rows).equal(
        estimate_coil_maps(kspace, lines, ESPIRiT(4))
    )


def test_one_coil_and_no_signal_are_no_exceptions():
    kspace, _ = measured((24, 24), coils=1)
    one = ESPIRiT().estimate(kspace, middle(24, 10))
    torch.testing.assert_close(one.abs(), torch.ones(1, 24, 24, dtype=torch.float64))
    empty = ESPIRiT().estimate(torch.zeros(4, 24, 24, dtype=torch.complex64), middle(24, 10))
    torch.testing.assert_close(rss(empty), torch.ones(24, 24))


@pytest.mark.parametrize(
    "options, word",
    [
        ({"kernel": 1}, "kernel"),
        ({"kernel": (6, 0)}, "kernel"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 1.0}, "threshold"),
        ({"crop": 1.0}, "crop"),
        ({"crop": -0.1}, "crop"),
        ({"crop": float("nan")}, "crop"),
        ({"outside": "zeros"}, "outside.*zero"),
        ({"phase": "first"}, "phase.*virtual-coil"),
    ],
)
def test_choices_that_cannot_be_are_named(options, word):
    with pytest.raises(InputError, match=word):
        ESPIRiT(**options)


def test_too_few_lines_or_rows_for_the_kernel_are_named():
    kspace, _ = measured((24, 24))
    with pytest.raises(InputError, match="6 lines given, but there are 5.*at most 5 fits"):
        estimate_coil_maps(kspace, middle(24, 5), ESPIRiT(6))
    with pytest.raises(InputError, match="8 rows given, but there are 7"):
        estimate_coil_maps(kspace, middle(24, 10), ESPIRiT((8, 4)), slice(9, 16))
    with pytest.raises(InputError, match="rows.*row 12"):
        estimate_coil_maps(kspace, middle(24, 10), ESPIRiT(), slice(0, 12))


@pytest.mark.skipif(
    "DEQLAB_REAL_DATA" not in os.environ,
    reason="DEQLAB_REAL_DATA names no folder of measured files",
)
@pytest.mark.parametrize("lines", [24, 16])
def test_maps_of_a_measured_head_agree_with_those_of_sigpy(lines):
    app = pytest.importorskip(
        "sigpy.mri.app", reason="sigpy is not installed (pip install -e '.[bench]')"
    )
    h5py = pytest.importorskip("h5py")
    with h5py.File(Path(os.environ["DEQLAB_REAL_DATA"]) / "brain_t2_4ch_256x256.h5") as file:
        kspace = torch.from_numpy(file["kspace"][0]).to(torch.complex64)
    theirs = torch.from_numpy(
        app.EspiritCalib(kspace.numpy(), calib_width=lines, crop=0, show_pbar=False).run()
    )
    ours = estimate_coil_maps(kspace, middle(256, lines), ESPIRiT())
    image = rss(ifft2c(kspace))
    head = image > 0.1 * image.max()
    agreement = (ours.conj() * theirs).sum(0).abs()[head]
    assert 0.2 < float(head.float().mean()) < 0.6 and float(agreement.min()) >= 0.99
