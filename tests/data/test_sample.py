"""Batches of slices: what fits is stacked, what does not is refused by name."""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import FastMRIDataset, collate
from deqlab.signal.sampling.masks import RandomMask


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_batch_is_its_slices_one_above_the_other(raw_file, size):
    paths = [
        raw_file(name, slices=1, intensity=10.0**k).path
        for k, name in enumerate(("a.h5", "b.h5", "c.h5")[:size])
    ]
    samples = list(FastMRIDataset(paths, RandomMask(2, 0.3)))
    batch = collate(samples)
    assert batch.kspace.shape == (size, 3, 16, 20) and batch.target.shape == (size, 16, 18)
    assert (
        batch.file == ["a.h5", "b.h5", "c.h5"][:size]
        and batch.slice == [0] * size
        and batch.contrast == ["AXT2"] * size
    )
    assert batch.scale.dtype == torch.float64 and batch.scale.tolist() == [s.scale for s in samples]
    assert batch.maximum.tolist() == [s.maximum for s in samples] and batch.crop == (16, 18)
    image = torch.randn(size, 16, 20, dtype=torch.complex64)
    together = batch.operator(image)
    for index, sample in enumerate(samples):
        torch.testing.assert_close(together[index], sample.operator(image[index : index + 1])[0])
        torch.testing.assert_close(batch.reference[index], sample.reference)


def test_slices_that_do_not_fit_are_named(raw_file, center_mask):
    rule = RandomMask(2, 0.3)
    first = FastMRIDataset(raw_file("a.h5").path, rule)[0]
    wide = FastMRIDataset(raw_file("b.h5", columns=24).path, rule)[1]
    with pytest.raises(
        InputError,
        match=(
            r"a.h5 slice 0 has 3 coils of 16x20 .* b.h5 slice 1 has 3 coils of 16x24"
            r" .*groups_by_shape"
        ),
    ):
        collate([first, wide])
    other_crop = FastMRIDataset(raw_file("b.h5", recon=(16, 20)).path, rule)[0]
    with pytest.raises(InputError, match="cropped to 16x18.*cropped to 16x20"):
        collate([first, other_crop])
    masked = FastMRIDataset(raw_file("c.h5", mask=center_mask(20)).path)[0]
    with pytest.raises(InputError, match="a.h5 slice 0 and c.h5 slice 0: one has a target"):
        collate([first, masked])
    with pytest.raises(InputError, match="at least one"):
        collate([])


def test_masked_slices_batch_without_target(raw_file, center_mask):
    batch = collate(list(FastMRIDataset(raw_file(mask=center_mask(20)).path)))
    assert batch.target is None and batch.reference is None and batch.to("cpu").target is None


def test_to_moves_every_tensor_and_keeps_the_operator(raw_file):
    batch = collate([FastMRIDataset(raw_file().path, RandomMask(2, 0.3))[0]])
    moved = batch.to("meta")
    assert {
        moved.kspace.device.type,
        moved.target.device.type,
        moved.reference.device.type,
        moved.scale.device.type,
    } == {"meta"}
    assert moved.operator.mask.device.type == moved.operator.coil_maps.device.type == "meta"
    assert batch.operator.mask.device.type == "cpu" and moved.file == batch.file
