"""Slices off the grid as Samples: scaled, weighted, batched, judged and trained on as Cartesian
ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, collate, groups_by_shape, write_noncartesian
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate
from deqlab.operators import NDFTOperator
from deqlab.operators.off_resonance import OffResonance
from deqlab.recon.registry import create
from deqlab.signal.coils.coil_maps import simulate_coil_maps
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.sampling.trajectories import GoldenAngles, Radial
from deqlab.training.config import TrainingConfig
from deqlab.training.trainer import train

SHAPE = (28, 24)
SPOKES = Radial(44, angles=GoldenAngles()).sample(SHAPE)
MAPS = simulate_coil_maps(3, SHAPE, seed=0).to(torch.complex128)


def images(slices: int) -> torch.Tensor:
    """Blobs with a smooth phase, complex128 (slices, y, x)."""
    y, x = torch.meshgrid(
        *[(torch.arange(side, dtype=torch.float64) - side // 2) / side for side in SHAPE],
        indexing="ij",
    )
    blobs = [
        torch.exp(-(y**2 + x**2) / 0.05) + torch.exp(-((y - 0.1) ** 2 + (x + 0.1 * n) ** 2) / 0.01)
        for n in range(slices)
    ]
    return torch.stack(blobs) * torch.exp(0.5j * x)


@pytest.fixture
def measured(tmp_path: Path):
    """`measured(name, ...)` writes a file of exact samples with their truth."""

    def write(
        name: str = "spokes.h5",
        slices: int = 2,
        intensity: float = 1e-4,
        points=SPOKES,
        reference: bool = True,
        **options,
    ) -> Path:
        kspace = intensity * NDFTOperator(points, SHAPE, MAPS)(images(slices))
        truth = {"reference": intensity * (images(slices)[:, None] * MAPS).numpy()}
        return write_noncartesian(
            tmp_path / name,
            kspace.numpy(),
            points.numpy(),
            SHAPE,
            contrast="AXT2",
            **(truth if reference else {}),
            **options,
        )

    return write


def relative(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


@pytest.mark.parametrize("intensity", [1e-20, 1e-4, 1e15])
def test_a_sample_is_what_its_reference_measures(measured, intensity) -> None:
    sample = SliceDataset(measured(intensity=intensity))[1]
    assert sample.kspace.shape == (3, len(SPOKES)) and sample.kspace.dtype == torch.complex64
    assert (sample.file, sample.slice, sample.contrast) == ("spokes.h5", 1, "AXT2")
    assert sample.crop == SHAPE
    assert relative(sample.operator(sample.reference[None])[0], sample.kspace) < 0.05
    assert relative(sample.reference.abs(), sample.target) < 0.02
    truth = intensity * images(2)[1].abs() * MAPS.abs().square().sum(0).sqrt()
    torch.testing.assert_close(sample.target.double() * sample.scale, truth, rtol=1e-5, atol=0)
    everything = intensity * images(2).abs() * MAPS.abs().square().sum(0).sqrt()
    assert sample.maximum == pytest.approx(float(everything.max()), rel=1e-6)


def test_the_norm_is_at_most_one_and_the_adjoint_keeps_its_intensity(measured) -> None:
    sample = SliceDataset(measured())[0]
    norm = float(sample.operator.norm(torch.zeros(1, *SHAPE, dtype=torch.complex64)))
    assert norm <= 1 and float(sample.operator.gain) < 1
    zero_filled = create("zero-filled")(sample.kspace[None], sample.operator)
    assert float(zero_filled.abs().max()) == pytest.approx(1, rel=1e-5)
    assert relative(zero_filled[0].abs(), sample.target) < 0.1


def test_slices_share_a_batch_and_shapes_tell_which(measured) -> None:
    field = {"readout_times": np.zeros(len(SPOKES)), "field_map": np.ones((2, *SHAPE))}
    other = Radial(44, angles=GoldenAngles(2)).sample(SHAPE)
    dataset = SliceDataset(
        [measured("a.h5"), measured("b.h5", points=other), measured("c.h5", **field)]
    )
    groups = groups_by_shape(dataset)
    assert list(groups.values()) == [[0, 1, 2, 3], [4, 5]]
    assert dataset.shape(0) == (3, len(SPOKES), *SHAPE)
    for group in groups.values():
        samples = [dataset[index] for index in group]
        batch = collate(samples)
        assert batch.target.shape == batch.reference.shape == (len(group), *SHAPE)
        image = torch.randn(len(group), *SHAPE, dtype=torch.complex64)
        together, zero = batch.operator(image), create("zero-filled")
        filled = zero(batch.kspace, batch.operator)
        for index, sample in enumerate(samples):
            alone = sample.operator(image[index : index + 1])[0]
            assert relative(together[index], alone) < 2e-3  # the segments of the field are fitted
            own = zero(sample.kspace[None], sample.operator)[0]
            assert relative(filled[index], own) < 2e-3
    assert isinstance(batch.operator, OffResonance)
    with pytest.raises(InputError, match="a.h5 slice 0 to c.h5 slice 0: .* and OffResonance"):
        collate([dataset[0], dataset[4]])


def test_weights_are_computed_once_for_slices_that_share_them(measured, monkeypatch) -> None:
    from deqlab.data.prepare import off_grid

    calls = []
    original = off_grid.density_weights
    monkeypatch.setattr(
        off_grid, "density_weights", lambda *a, **o: calls.append(1) or original(*a, **o)
    )
    list(SliceDataset(measured(slices=3)))
    assert len(calls) == 1


def test_noise_is_drawn_from_the_generator_and_needs_a_truth(measured) -> None:
    clean, noisy = (SliceDataset(measured(), noise=level) for level in (0.0, 0.1))
    assert torch.equal(noisy[0].kspace, noisy[0].kspace)
    one, other = (noisy.sample(0, np.random.default_rng(seed)).kspace for seed in (0, 1))
    assert not torch.equal(one, other)
    sample = noisy[0]
    torch.testing.assert_close(
        sample.target * sample.scale, clean[0].target * clean[0].scale, rtol=1e-5, atol=0
    )
    # Undone from weights and scale, the samples differ by noise of the size that was asked for.
    root = sample.operator.weights.sqrt()
    difference = (sample.kspace * sample.scale - clean[0].kspace * clean[0].scale) / root.clamp_min(
        1e-3
    )
    level = 0.1 * float(clean[0].target.max()) * clean[0].scale
    assert float(difference[:, root[0] > 0.3].abs().square().mean().sqrt()) == pytest.approx(
        level, rel=0.15
    )
    with pytest.raises(InputError, match="bare.h5: its true image is not known; noise 0.1 needs"):
        SliceDataset(measured("bare.h5", reference=False), noise=0.1)[0]


def test_strips_are_refused_off_the_grid(measured) -> None:
    with pytest.raises(InputError, match="spokes.h5: 28x24 pixels, but max_pixels is 100"):
        SliceDataset(measured(), max_pixels=100)
    assert SliceDataset(measured(), max_pixels=28 * 24)[0].crop == SHAPE


def test_methods_are_judged_on_them_once_at_their_own_acceleration(measured, tiny_data) -> None:
    few = Radial(12, angles=GoldenAngles()).sample(SHAPE)
    files = [measured(points=few), tiny_data["test"][0]]
    methods = {name: create(name) for name in ("zero-filled", "cg-sense")}
    rows = evaluate(methods, files, Conditions(acceleration=(2, 4)))
    own = [row for row in rows if row.file == "spokes.h5"]
    assert {row.acceleration for row in own} == {28 * 24 / len(few)}
    assert len(own) == 2 and len(rows) == 6
    scores = {row.method: row.scores["psnr"] for row in own}
    assert scores["cg-sense"] > scores["zero-filled"] > 15
    bare = measured("bare.h5", reference=False)
    with pytest.raises(InputError, match="bare.h5: its true image is not known; evaluation needs"):
        evaluate(methods, [bare])


def test_models_are_trained_on_them_beside_cartesian_files(measured, tiny_data) -> None:
    config = TrainingConfig(
        model={"name": "de-grad", "denoiser": {"name": "dncnn", "depth": 2, "width": 4}},
        epochs=2,
        steps_per_epoch=3,
        device="cpu",
    )
    history = train(config, [measured(), tiny_data["train"][0]], progress=False).history
    assert all(np.isfinite(entry["loss"]) for entry in history)
    with pytest.raises(InputError, match="bare.h5: its true image is not known; training needs"):
        train(config, [measured("bare.h5", reference=False)], progress=False)


def test_rules_leave_trajectories_alone(measured) -> None:
    plain, ruled = (SliceDataset(measured(), mask=rule) for rule in (None, RandomMask(4, 0.1)))
    assert torch.equal(plain[0].kspace, ruled[0].kspace)
