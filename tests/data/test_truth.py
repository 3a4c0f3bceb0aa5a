"""What is known of an image is read when it is asked for, and not before."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, collate, write_noncartesian
from deqlab.data.formats import fastmri, trajectory_layout
from deqlab.data.truth import KnownTruth
from deqlab.evaluation.conditions import Conditions
from deqlab.evaluation.judge import evaluate
from deqlab.recon.registry import create
from deqlab.signal.sampling.masks import RandomMask
from deqlab.signal.sampling.trajectories import Radial

RULE = RandomMask(2, 0.3)


@pytest.fixture
def reads(monkeypatch) -> Counter:
    """How often each slice of each data set was read."""
    counts: Counter = Counter()

    def watched(module):
        original = module.read

        def read(data, path, index=()):
            counts[data.name.lstrip("/"), index] += 1
            return original(data, path, index)

        return read

    for module in (fastmri, trajectory_layout):
        monkeypatch.setattr(module, "read", watched(module))
    return counts


def slices(reads: Counter, name: str) -> set[int]:
    return {index for data, index in reads if data == name}


def test_a_sample_reads_its_own_slice_and_no_target(raw_file, reads) -> None:
    dataset = SliceDataset(raw_file(slices=5).path, RULE, slices="all")
    sample = dataset[3]
    batch = collate([sample, dataset[1]])
    assert sample.reference is not None and batch.to("cpu").reference.shape == (2, 16, 20)
    # The middle one is looked at when the file is opened.
    assert reads == {("kspace", 3): 1, ("kspace", 1): 1, ("kspace", 2): 1}


def test_targets_are_read_once_and_only_of_the_samples_own_slices(raw_file, reads) -> None:
    raw = raw_file(slices=5)
    dataset = SliceDataset(raw.path, RULE, slices="all")
    samples = [dataset[3], dataset[1]]
    batch = collate(samples)
    for _ in range(2):
        assert samples[0].to("cpu").target.shape == (16, 18)
        np.testing.assert_allclose(
            batch.target.numpy() * batch.scale.numpy()[:, None, None], raw.target[[3, 1]], rtol=1e-5
        )
        assert batch.to("cpu").target.shape == (2, 16, 18)
    assert {key: n for key, n in reads.items() if key[0] != "kspace"} == {
        ("reconstruction_rss", 3): 1,
        ("reconstruction_rss", 1): 1,
    }


def test_the_volumes_maximum_is_read_once_for_all_its_samples(raw_file, reads) -> None:
    raw = raw_file(slices=4)
    dataset = SliceDataset(raw.path, RULE, slices="all")
    batch = collate([dataset[0], dataset[2]])
    assert slices(reads, "reconstruction_rss") == set()
    for maximum in (*batch.maximum.tolist(), dataset[1].maximum):
        assert maximum == pytest.approx(raw.target.max(), rel=1e-6)
    assert slices(reads, "reconstruction_rss") == {0, 1, 2, 3}
    # The middle slice was looked at when the file was opened.
    assert [key for key, count in reads.items() if count != 1] == [("kspace", 2)]


@pytest.mark.parametrize("stored", [True, False])
def test_reconstructing_two_of_many_slices_reads_two(raw_file, reads, tmp_path, stored) -> None:
    """Also of a file without a stored target, whose target would cost every slice of k-space."""

    def change(file) -> None:
        if not stored:
            del file["reconstruction_rss"]

    request = Request(raw_file(slices=9, change=change).path, tmp_path / "out.h5", RULE, [2, 7])
    reconstruct_file(request, create("cg-sense"))
    assert slices(reads, "kspace") == {2, 7} and slices(reads, "reconstruction_rss") == set()


def test_evaluating_two_slices_reads_two_of_kspace(raw_file, reads) -> None:
    path = raw_file(slices=9).path
    conditions = Conditions(acceleration=(2,), center_fraction=0.3, slices=[2, 7])
    evaluate({"zero": create("zero-filled")}, [path], conditions)
    assert slices(reads, "kspace") == {2, 7}
    # The data range is the volume's maximum: every target, once.
    assert {reads["reconstruction_rss", index] for index in range(9) if index not in (2, 7)} == {1}


def test_truth_off_the_grid_is_read_when_asked_for(reads, tmp_path: Path) -> None:
    points = Radial(12).sample((12, 10)).numpy()
    rng = np.random.default_rng(0)
    kspace = rng.standard_normal((3, 2, len(points))) + 1j
    images = (rng.standard_normal((3, 2, 12, 10)) + 1j).astype(np.complex64)
    path = write_noncartesian(tmp_path / "spokes.h5", kspace, points, (12, 10), reference=images)
    reads.clear()
    sample = SliceDataset(path)[1]
    assert slices(reads, "reference") == set() and slices(reads, "kspace") == {1}
    maps = sample.operator.coil_maps[0]
    combined = (torch.from_numpy(images[1]) * maps.conj()).sum(0) / sample.scale
    torch.testing.assert_close(sample.reference, combined, rtol=1e-5, atol=1e-6)
    magnitude = np.sqrt((np.abs(images.astype(np.complex128)) ** 2).sum(1))
    np.testing.assert_allclose(sample.target, magnitude[1] / sample.scale, rtol=1e-5)
    assert slices(reads, "reference") == {1}
    reads.clear()
    for again in (sample, SliceDataset(path)[2]):
        assert again.maximum == pytest.approx(magnitude.max())
    assert [reads["reference", index] for index in range(3)] == [1, 1, 1]


def test_what_is_known_without_a_file() -> None:
    nothing = KnownTruth()
    assert nothing.knows == frozenset() and math.isnan(nothing.maximum)
    assert KnownTruth(reference=torch.ones(2, 2)).knows == {"reference"}


def test_files_without_truth_are_refused_by_name(raw_file, center_mask, tmp_path) -> None:
    points = Radial(12).sample((12, 10)).numpy()
    given = (tmp_path / "spokes.h5", np.ones((1, len(points)), complex), points, (12, 10))
    cases = [
        (raw_file("masked.h5", mask=center_mask(20)).path, "masked.h5: is undersampled; judging"),
        (write_noncartesian(*given), "spokes.h5: its true image is not known; judging needs a"),
    ]
    for path, message in cases:
        dataset = SliceDataset(path)
        assert dataset[0].target is None and dataset[0].reference is None
        assert math.isnan(dataset[0].maximum)
        with pytest.raises(InputError, match=message):
            dataset.require("target", "judging")
    judged = SliceDataset(write_noncartesian(*given, target=np.ones((1, 12, 10))))
    judged.require("target", "judging")
    with pytest.raises(InputError, match="training needs a data set `reference` beside"):
        judged.require("reference", "training")
