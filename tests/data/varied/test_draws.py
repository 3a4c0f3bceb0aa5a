"""Draws repeat, obey physics, and vary in what their options name and in nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from deqlab.core.errors import InputError
from deqlab.data.sample import Sample, collate
from deqlab.data.varied.anatomies import Anatomies
from deqlab.data.varied.dead_leaves import dead_leaves
from deqlab.data.varied.draws import Varied, VariedOptions
from deqlab.data.varied.uniform_object import uniform_object
from deqlab.data.varied.varied_images import Variation
from deqlab.data.varied.varied_measurements import Measurements
from deqlab.data.varied.varied_phase import PhaseVariation

STILL = Variation(
    quarter_turns=False,
    flips=False,
    free_rotation=0,
    tilt=0,
    stretch=1,
    gamma=0,
    folded=0,
    bias=0,
    vessels=0,
    leaves=0,
    uniform=0,
    ringing=0,
    phase=PhaseVariation(fat=0, tissue=0, smooth=0, echo=0, bumps=0, demodulated=0),
)


def images(anatomies: Anatomies, options: Variation, count: int = 4) -> Tensor:
    """Whole draws of 40x40 pixels."""
    draws = [
        options.draw(anatomies, np.random.default_rng(seed), (40, 40), whole=True)
        for seed in range(count)
    ]
    return torch.stack(draws)


def same(one: Sample, other: Sample) -> bool:
    pairs = [(one.kspace, other.kspace), (one.reference, other.reference)]
    pairs.append((one.operator.mask, other.operator.mask))
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", ["scan", "window"])
def test_a_draw_is_a_function_of_seed_step_and_index(varied: Varied, kind: str) -> None:
    draw = getattr(varied, kind)
    first = draw(3, 5, 1)
    draw(3, 6, 0)
    assert same(draw(3, 5, 1), first)
    others = [draw(4, 5, 1), draw(3, 4, 1), draw(3, 5, 0), draw(3, 5, 2)]
    assert not any(same(other, first) for other in others)


def test_draws_of_a_step_share_a_batch(varied: Varied) -> None:
    for step in range(12):
        batch = collate([varied.scan(0, step, index) for index in range(2)])
        assert batch.operator.members == 2 and batch.reference.shape == batch.kspace[:, 0].shape
    shapes = {varied.scan(0, step, 0).kspace.shape for step in range(24)}
    assert len({shape[0] for shape in shapes}) == 3 and len({shape[1:] for shape in shapes}) >= 3
    assert all(shape[1] * shape[2] <= 800 for shape in shapes)


def test_a_scan_keeps_the_contract_of_a_sample(varied: Varied) -> None:
    """Unit scale; the reference explains what was measured, but for noise and the maps' error."""
    quiet = replace(varied.options.measurements, noise=(1e-6, 1e-6), espirit=0.0, half=0.0)
    varied.options = replace(varied.options, measurements=quiet)
    for step in range(12):
        sample = varied.scan(1, step, 0)
        kspace, A = sample.kspace[None], sample.operator
        assert kspace.dtype == torch.complex64
        assert float(A.H(kspace).abs().max()) == pytest.approx(1, abs=1e-3)
        assert not kspace[..., ~A.mask[0, 0, 0]].any()
        error = (A(sample.reference[None]) - kspace).norm() / kspace.norm()
        # Maps of so few pixels are rough; one coil's are exact but for its phase.
        assert float(error) < (1e-2 if len(sample.kspace) == 1 else 0.6)
        torch.testing.assert_close(sample.target, sample.reference.abs())
        assert sample.maximum == pytest.approx(float(sample.target.max()) * sample.scale)


def test_noise_is_in_the_measurement_and_not_in_the_reference(varied: Varied) -> None:
    """What differs between two levels is white: it has the level's size in measured samples."""
    measured = {}
    for level in (1e-6, 0.01):
        chosen = replace(varied.options.measurements, noise=(level, level), coils=(1,), espirit=0)
        varied.options = replace(varied.options, measurements=chosen)
        measured[level] = varied.scan(2, 0, 0)
    mask = measured[0.01].operator.mask[0, 0, 0]
    loud, quiet = (s.kspace[..., mask] * s.scale for s in (measured[0.01], measured[1e-6]))
    assert (loud - quiet).real.std() == pytest.approx(0.01, rel=0.15)
    clean = [s.reference.abs() * s.scale for s in measured.values()]
    torch.testing.assert_close(clean[0], clean[1], rtol=1e-4, atol=1e-5)


def test_images_have_the_peak_one(discs: Anatomies) -> None:
    for whole in (True, False):
        for seed in range(30):
            random = np.random.default_rng(seed)
            image = Variation().draw(discs, random, (24, 33), whole)
            assert image.shape == (24, 33) and image.dtype == torch.complex64
            assert bool(torch.isfinite(torch.view_as_real(image)).all())
            assert float(image.abs().max()) == pytest.approx(1, abs=1e-4)


def test_where_nothing_varies_an_image_is_its_anatomy(discs: Anatomies) -> None:
    """But for its size and its place."""
    found = images(discs, STILL)
    turned = found * found.sum((-2, -1), keepdim=True).sgn().conj()
    assert turned.imag.abs().max() < 1e-5 and turned.real.min() > -1e-5
    assert all(float((image.abs() > 0.1).float().mean()) > 0.1 for image in found)


@pytest.mark.parametrize(
    "changes",
    [
        {"quarter_turns": True},
        {"flips": True},
        {"free_rotation": 1},
        {"tilt": 0.5},
        {"stretch": 1.5},
        {"gamma": 1},
        {"folded": 1},
        {"bias": 0.9},
        {"vessels": 1},
        {"leaves": 1},
        {"uniform": 1},
        {"ringing": 1},
        *({"phase": {name: 1}} for name in ("fat", "tissue", "smooth", "echo", "bumps")),
        {"phase": {"demodulated": 1, "smooth": 1}},
    ],
    ids=str,
)
def test_every_option_changes_images(discs: Anatomies, changes: dict) -> None:
    if "phase" in changes:
        changes = {"phase": replace(STILL.phase, **changes["phase"])}
    changed, still = images(discs, replace(STILL, **changes)), images(discs, STILL)
    assert (changed - still).abs().max() > 0.05
    if "phase" in changes and not changes["phase"].fat:
        torch.testing.assert_close(changed.abs(), still.abs(), rtol=1e-3, atol=1e-3)


def test_leaves_have_edges_and_repeat() -> None:
    first, again = (dead_leaves(np.random.default_rng(3), (30, 50)) for _ in range(2))
    assert torch.equal(first, again) and first.shape == (30, 50)
    assert len(first.abs().unique()) > 20 and (first[:, 1:] - first[:, :-1]).abs().max() > 0.2


def test_vessels_of_fluid_are_even_and_lie_in_air() -> None:
    for seed in range(20):
        first, again = (uniform_object(np.random.default_rng(seed), (64, 50)) for _ in range(2))
        assert torch.equal(first, again) and first.shape == (64, 50)
        vessel = first.abs() > 0.5
        even = (first.abs() - 1).abs() < 1e-6
        assert (vessel & even).sum() > 0.4 * vessel.sum() and vessel.float().mean() > 0.08
        assert not first[0, 0] and not first[-1, -1], "air"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"sizes": ()}, "none given"),
        ({"pixels": 100}, "pixels: 100 given, at least 9216"),
        ({"noise": (0.1, 0.01)}, "noise: .*smaller one first"),
        ({"acceleration": (0.5, 2.0)}, "acceleration"),
        ({"few": 1.0}, "acceleration"),
        ({"espirit": 2}, "espirit"),
    ],
)
def test_impossible_measurements_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Measurements(**changes)


def test_options_go_to_a_card_and_back() -> None:
    from deqlab.core.options import to_json, updated

    chosen = updated(VariedOptions(), {"images.phase.fat": "0.1", "measurements.coils": "(2, 3)"})
    card = to_json(chosen)
    assert card["images"]["phase"]["fat"] == 0.1 and card["measurements"]["coils"] == [2, 3]
    assert VariedOptions(**card) == chosen
