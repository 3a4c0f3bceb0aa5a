"""What `benchmarks/real_scans.py` measures by: PSNR inside the head, turns, ghosts, the search for
the best weight, and what the cache keeps.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data import write_volume
from deqlab.recon import Budget, load
from deqlab.signal.coils.coil_maps import LowResolution
from deqlab.signal.transforms.fourier import fft2c, ifft2c

Part = Callable[[str], ModuleType]


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch, repository: Path, tmp_path: Path) -> Part:
    """A module of the benchmark by its name; what it keeps goes into a folder of the test's own."""
    monkeypatch.syspath_prepend(repository / "benchmarks")
    monkeypatch.setenv("DEQLAB_CACHE", str(tmp_path / "cache"))
    return lambda name: importlib.import_module(f"scans.{name}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One fully sampled scan of 64x72 pixels and three coils: ellipses in noise."""
    y, x = np.mgrid[-1:1:64j, -1:1:72j]
    image = (y**2 + (x / 0.8) ** 2 < 0.6) + 0.5 * ((y - 0.2) ** 2 + x**2 < 0.1)
    maps = [np.exp(-((y - a) ** 2) - (x - b) ** 2 + 1j * b) for a, b in ((1, 0), (-1, 1), (0, -1))]
    kspace = fft2c(torch.from_numpy(image * np.array(maps))).numpy()
    noise = np.random.default_rng(0).standard_normal((*kspace.shape, 2)) @ (0.01, 0.01j)
    write_volume(tmp_path / "scan.h5", (kspace + noise)[None], "AXT1", (64, 72))
    return tmp_path


def disc(size: int = 64) -> Tensor:
    """complex (1, y, x): 2 inside a disc, 0 about it, its phase smooth."""
    axis = torch.arange(size) - size // 2
    inside = axis[:, None] ** 2 + axis**2 < (size // 4) ** 2
    return (2 * inside * torch.exp(0.02j * axis))[None]


def test_psnr_counts_the_head_alone_and_no_scale(part: Part) -> None:
    psnr, reference = part("judging").psnr, disc()
    inside = reference != 0
    signs = 1 - 2.0 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2)
    # Errors of 10 % of the peak at every pixel of the disc, whichever sign: 20 dB but for the scale
    # that fits the changed image, which is 1 / (1 + 0.1^2) or so.
    image = reference * (1 + 0.1 * signs)
    assert psnr(image, reference) == pytest.approx(20, abs=0.1)
    assert psnr(0.03j * image, reference) == pytest.approx(psnr(image, reference), abs=1e-4)
    # Nothing outside the disc counts, but for its share in the scale.
    beside = torch.where(inside, image, 1e-3 * signs.to(image))
    assert psnr(beside, reference) == pytest.approx(psnr(image, reference), abs=1e-3)


@pytest.mark.parametrize("shape", [(6, 8), (6, 7), (7, 8), (5, 9)])
def test_turns_commute_with_the_fourier_transform(part: Part, shape: tuple[int, int]) -> None:
    image = torch.randn(2, *shape, dtype=torch.complex128)
    seen = []
    for turn in part("turns").TURNS:
        torch.testing.assert_close(fft2c(turn(image)), turn(fft2c(image)))
        # A symmetry keeps the centre and every value, and is none of the others.
        rows, columns = turn(image).shape[-2:]
        centre = turn(image)[..., rows // 2, columns // 2]
        assert torch.equal(centre, image[..., shape[0] // 2, shape[1] // 2])
        assert torch.equal(
            turn(image).abs().flatten().sort().values, image.abs().flatten().sort()[0]
        )
        seen.append(turn(image))
    assert not any(
        one.shape == other.shape and torch.equal(one, other)
        for at, one in enumerate(seen)
        for other in [image, *seen[:at]]
    )


def test_a_turned_measurement_is_the_same_problem(part: Part, folder: Path) -> None:
    turns, cases = part("turns"), part("cases")
    (scan,) = cases.fully_sampled(folder)
    batch = cases.Case(scan, 4.0).batch
    image = torch.randn(1, 64, 72, dtype=torch.complex64)
    for turn in turns.TURNS:
        other = turns.turned(batch, turn)
        torch.testing.assert_close(other.operator(turn(image)), turn(batch.operator(image)))
        torch.testing.assert_close(
            other.operator.H(other.kspace), turn(batch.operator.H(batch.kspace))
        )
        assert torch.equal(other.known("reference"), turn(batch.known("reference")))


def test_a_ghost_is_found_in_the_air_and_nowhere_else(part: Part) -> None:
    ghost, reference = part("bottle").ghost, disc()
    air = torch.zeros_like(reference)
    air[..., 2:8, 2:8] = 0.1 * torch.exp(torch.tensor(1j))
    assert ghost(reference, reference) == pytest.approx(0, abs=1e-6)
    # 5 % of the object's level of 2, whatever the units, but for what it adds to the scale.
    assert ghost(7j * (reference + air), 1j * reference) == pytest.approx(0.05, abs=1e-3)
    # Errors of the object itself, and of its rim, are no ghosts.
    rim = torch.zeros_like(reference)
    rim[..., 32 - 18 : 32 + 18, 32] = 0.3
    assert ghost(reference + rim, reference) < 0.02
    # Noise of the same strength counts for less: the largest of its means over nine pixels.
    noise = 0.1 * torch.exp(2j * math.pi * torch.rand(reference.shape))
    fine = ghost(reference + noise * (reference == 0), reference)
    assert fine < 0.9 * 0.05


def test_the_best_weight_is_found_on_both_sides(part: Part) -> None:
    climbed = part("judging").climbed
    for power in (-3, 0, 4):
        asked: list[float] = []

        def score(weight: float, power: int = power, asked: list[float] = asked) -> float:
            asked.append(weight)
            return -((math.log2(weight / 1e-3) - power) ** 2)

        assert climbed(score, 1e-3, 2.0) == pytest.approx(1e-3 * 2.0**power)
        assert len(set(asked)) <= abs(power) + 3
    # Gains that are worth nothing end the search.
    assert climbed(lambda weight: -1e-4 * math.log(weight), 1e-3, 2.0) == 1e-3


def test_a_classical_image_is_measured_once(
    part: Part, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judging, cases = part("judging"), part("cases")
    monkeypatch.setattr(judging, "TIGHT", Budget(1e-3, 5))
    (scan,) = cases.fully_sampled(folder)
    made: list[float] = []

    def create(name: str, weight: float) -> object:
        from deqlab.recon import create

        class Watched:
            def __repr__(self) -> str:
                return f"{name} {weight}"

            def run(self, *arguments: object) -> object:
                made.append(weight)
                return create(name, weight=weight).run(*arguments)

        return Watched()

    monkeypatch.setattr(judging, "create", create)

    def measured(weight: float = 1e-3, **named: object) -> dict:
        return judging.solved(cases.Case(scan, 4.0, **named), "tv", weight, (judging.psnr,))

    first = measured()
    assert measured() == first and made == [1e-3]
    # Another weight, mask, noise or choice of maps is another image.
    others = [
        {"weight": 2e-3},
        {"seed": 1},
        {"noise": 0.1},
        {"noise": 0.2},
        {"coil_maps": LowResolution()},
    ]
    for _ in range(2):
        for other in others:
            measured(**other)
    assert len(made) == 6


def test_every_question_of_scans_is_answered(
    part: Part, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part("judging"), "TIGHT", Budget(1e-3, 5))
    effort, models = part("cases").Effort(1, (4.0,), 1, 1, 1), {"de-grad": load("small-de-grad")}
    with torch.no_grad():
        first, with_lines = part("margins").rows(models, folder, effort)
        changed = next(part("turns").rows(models, folder, effort)).values
        harder = [row.name for row in part("harder").rows(models, folder, effort)]
    assert "16 lines" in with_lines.name and first.group == "4x"
    best = max(first.values[name] for name in ("cg-sense", "wavelet", "tv"))
    margin = first.values["de-grad later"] - best
    assert first.values["de-grad over the best"] == pytest.approx(margin)
    assert len(changed) == 3 and all(map(math.isfinite, changed.values()))
    assert [name.split(", ")[-1] for name in harder] == [
        "half resolution",
        "1 coil",
        "2 coils",
        "1% noise",
    ]
    with pytest.raises(InputError, match="bottle_pulseq_16ch.dat: missing"):
        next(part("bottle").rows(models, folder, effort))


def test_a_coarser_scan_is_the_mean_of_its_pixels(part: Part) -> None:
    image = torch.randn(2, 6, 9, dtype=torch.complex128)
    coarse = ifft2c(part("harder").coarser(fft2c(image)))
    assert coarse.shape == (2, 3, 4)
    torch.testing.assert_close(coarse[:, 1, 2], image[:, 2:4, 4:6].mean((-2, -1)))


def test_the_noise_of_a_scan_is_what_was_added(part: Part, folder: Path) -> None:
    cases, judging = part("cases"), part("judging")
    (scan,) = cases.fully_sampled(folder)
    noise = 0.3 * torch.randn(3, 64, 72, dtype=torch.complex64)
    loud = scan.changed(lambda kspace: kspace + noise)
    batch = cases.Case(loud, 4.0).batch
    reference = batch.known("reference")
    # Per pixel of the image as much as per sample of a coil.
    expected = 0.3 / float(batch.scale) * reference.numel() ** 0.5
    expected /= float(torch.linalg.vector_norm(reference))
    assert judging.own_noise(loud, batch) == pytest.approx(expected, rel=0.1)


def test_what_is_carried_on_is_nearer_to_its_equilibrium(
    part: Part, tiny_data: dict[str, list[Path]]
) -> None:
    stops, model = part("stops"), load("small-de-grad")
    batch = stops._heads(tiny_data["test"][0], 4.0, 2)
    images = stops.carried_on(model, batch)
    f = model.fixed_point_map(batch.kspace, batch.operator)
    with torch.no_grad():
        before, after = (
            torch.linalg.vector_norm((f(image) - image).flatten(1), dim=1) for image in images
        )
    assert (after < 0.01 * before).all()
    values = stops._on_heads("it", model, batch, 4.0)
    assert abs(values["it largest change"]) >= abs(values["it mean change"]) > 0
    assert values["it converged"] == 1 and 0 < values["it SSIM"] < 1


def test_spokes_are_samples_of_the_scan_itself(part: Part, folder: Path) -> None:
    """With enough of them the weighted adjoint is nearly the scan; a row has all methods."""
    (scan,) = part("cases").fully_sampled(folder)
    y, A, reference = part("spokes").measured(scan, 160)
    assert part("judging").psnr(A.H(y), reference) > 25
    few, _, _ = part("spokes").measured(scan, 16)
    assert few.shape[-1] == 16 * 144 and few.shape[:2] == (1, 3)
    effort = part("cases").Effort(accelerations=(4.0,))
    (row,) = part("spokes").rows({"ours": load("small-de-grad")}, folder, effort)
    best = max(row.values[name] for name in ("cg-sense", "wavelet", "tv"))
    assert best > row.values["weighted adjoint"]
    samples, operator, truth = part("spokes").measured(scan, 18)
    alone = part("judging").psnr(load("small-de-grad").run(samples, operator).image, truth)
    assert row.values["ours over the best"] + best == pytest.approx(alone, abs=0.1)
    assert row.name == "scan 18 spokes"
