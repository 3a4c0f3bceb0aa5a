"""Batches of slices: what fits is stacked, what does not is refused by name."""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import Sample, SliceDataset, collate
from deqlab.data.truth import KnownTruth, Truth
from deqlab.operators import CartesianOperator, LinearOperator, NUFFTOperator, OffResonance
from deqlab.signal.sampling.masks import RandomMask


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_batch_is_its_slices_one_above_the_other(raw_file, size):
    paths = [
        raw_file(name, slices=1, intensity=10.0**k).path
        for k, name in enumerate(("a.h5", "b.h5", "c.h5")[:size])
    ]
    samples = list(SliceDataset(paths, RandomMask(2, 0.3)))
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
    first = SliceDataset(raw_file("a.h5").path, rule)[0]
    wide = SliceDataset(raw_file("b.h5", columns=24).path, rule)[1]
    with pytest.raises(
        InputError,
        match=(
            r"a.h5 slice 0 has 3 coils of 16x20 .* b.h5 slice 1 has 3 coils of 16x24"
            r" .*groups_by_shape"
        ),
    ):
        collate([first, wide])
    other_crop = SliceDataset(raw_file("b.h5", recon=(16, 20)).path, rule)[0]
    with pytest.raises(InputError, match="cropped to 16x18.*cropped to 16x20"):
        collate([first, other_crop])
    masked = SliceDataset(raw_file("c.h5", mask=center_mask(20)).path)[0]
    with pytest.raises(InputError, match="a.h5 slice 0 and c.h5 slice 0: one has a target"):
        collate([first, masked])
    with pytest.raises(InputError, match="at least one"):
        collate([])


def test_masked_slices_batch_without_target(raw_file, center_mask):
    batch = collate(list(SliceDataset(raw_file(mask=center_mask(20)).path)))
    assert batch.target is None and batch.reference is None and batch.to("cpu").target is None


def test_what_has_to_be_known_is_given_or_refused_by_name(raw_file, center_mask):
    full = SliceDataset(raw_file("a.h5").path, RandomMask(2, 0.3))
    masked = SliceDataset(raw_file("b.h5", mask=center_mask(20)).path)
    for part in ("target", "reference"):
        sample = full[0]
        assert sample.known(part) is getattr(sample, part)
        with pytest.raises(InputError, match=f"b.h5 slice 1: its {part} is not known"):
            masked[1].known(part)
        with pytest.raises(InputError, match=f"b.h5 slice 0 to b.h5 slice 1: its {part} is not"):
            collate([masked[0], masked[1]]).known(part)


def points(samples: int = 30) -> torch.Tensor:
    return torch.rand(samples, 2, generator=torch.Generator().manual_seed(1)) - 0.5


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex64)


def sample(kspace: torch.Tensor, operator: LinearOperator, truth: Truth = KnownTruth()) -> Sample:
    return Sample(kspace, operator, 2.0, "x", 0, "none", (6, 5), truth)


MEASURED = {
    "on the grid": lambda: (noise(3, 6, 5), CartesianOperator(torch.ones(5), noise(3, 6, 5))),
    "volume": lambda: (noise(2, 4, 6, 5), CartesianOperator(torch.ones(5), noise(2, 4, 6, 5), 3)),
    "off the grid": lambda: (noise(3, 30), NUFFTOperator(points(), (6, 5), noise(3, 6, 5))),
    "off-resonance": lambda: (
        noise(3, 30),
        OffResonance(
            NUFFTOperator(points(), (6, 5), noise(3, 6, 5)), torch.ones(6, 5), torch.zeros(30)
        ),
    ),
}


@pytest.mark.parametrize("name", MEASURED)
def test_any_operator_is_batched_and_copied_when_it_moves(name) -> None:
    samples = [sample(*MEASURED[name]()) for _ in range(2)]
    batch = collate(samples)
    assert batch.kspace.shape == (2, *samples[0].kspace.shape)
    image = batch.operator.H(batch.kspace)
    for index, each in enumerate(samples):
        torch.testing.assert_close(
            image[index], each.operator.H(each.kspace[None])[0], rtol=1e-3, atol=1e-3
        )
    moved = batch.to("meta")
    assert type(moved.operator) is type(batch.operator) and moved.operator is not batch.operator
    assert {buffer.device.type for buffer in moved.operator.buffers()} == {"meta"}
    assert {buffer.device.type for buffer in batch.operator.buffers()} == {"cpu"}
    same = batch.to("cpu")
    assert same.operator is not batch.operator
    torch.testing.assert_close(same.operator.H(same.kspace), image)


def test_a_copied_operator_shares_what_is_never_changed_and_owns_what_is_learned() -> None:
    kspace, operator = MEASURED["on the grid"]()
    operator.learned = torch.nn.Parameter(torch.ones(3))
    moved = sample(kspace, operator).to("cpu").operator
    assert moved.coil_maps.data_ptr() == operator.coil_maps.data_ptr()
    assert moved.learned.data_ptr() != operator.learned.data_ptr()


def test_different_operators_are_named() -> None:
    one, other = sample(*MEASURED["off the grid"]()), sample(*MEASURED["off-resonance"]())
    with pytest.raises(InputError, match="x slice 0 to x slice 0: .*: NUFFTOperator and OffRes"):
        collate([one, other])
    tall = CartesianOperator(torch.ones(6, 5), noise(3, 6, 5))
    with pytest.raises(InputError, match="x slice 0 to x slice 0: operators .*mask"):
        collate([sample(*MEASURED["on the grid"]()), sample(noise(3, 6, 5), tall)])
    short = sample(noise(3, 20), NUFFTOperator(points(20), (6, 5), noise(3, 6, 5)))
    with pytest.raises(InputError, match="3 coils of 30 samples cropped to 6x5, .* of 20 samples"):
        collate([one, short])


def test_truth_lies_beside_kspace() -> None:
    truth = KnownTruth(torch.ones(6, 5), noise(6, 5), 3.0)
    batch = collate([sample(*MEASURED["on the grid"](), truth) for _ in range(2)])
    assert batch.target.shape == batch.reference.shape == (2, 6, 5)
    assert batch.maximum.tolist() == [3.0, 3.0] and batch.maximum.dtype == torch.float64
    moved = batch.to("meta")
    assert moved.target.device.type == moved.maximum.device.type == "meta"
    assert batch.target.device.type == "cpu"


def test_to_moves_every_tensor_and_keeps_the_operator(raw_file):
    batch = collate([SliceDataset(raw_file().path, RandomMask(2, 0.3))[0]])
    moved = batch.to("meta")
    assert {
        moved.kspace.device.type,
        moved.target.device.type,
        moved.reference.device.type,
        moved.scale.device.type,
    } == {"meta"}
    assert moved.operator.mask.device.type == moved.operator.coil_maps.device.type == "meta"
    assert batch.operator.mask.device.type == "cpu" and moved.file == batch.file
