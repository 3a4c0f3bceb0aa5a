"""Samples are brought to where they belong, and what cannot be right is told; honest scans pass
without a word.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from deqlab.core.errors import InputError
from deqlab.data import SliceDataset, open_volume
from deqlab.signal.sampling.masks import RandomMask

from .conftest import SIDE, header, kspace, lines

# What is told is what `told` returns.
pytestmark = pytest.mark.filterwarnings("ignore::deqlab.core.errors.DeqlabWarning")
RULE = RandomMask(3, 0.15)
HALF = SIDE // 2


@pytest.mark.parametrize(
    "rows, columns", [(3, 0), (-8, 0), (0, 5), (0, 20), (-7, 13), (HALF, HALF), (0, HALF)]
)
def test_an_echo_beside_the_middle_is_brought_there(stored, told, rows: int, columns: int) -> None:
    control = kspace()
    path = stored(np.roll(control, (rows, columns), (-2, -1)))
    said = told(path)
    for off, name in ((rows, "row"), (columns, "column")):
        place = f"the peak of k-space lies in {name} {(HALF + off) % SIDE} of {SIDE}, not in the"
        assert sum(place in line for line in said) == (off != 0), said
    np.testing.assert_array_equal(open_volume(path).kspace(2), control[2])
    sample = SliceDataset(path, RULE)[0]
    other = SliceDataset(stored(control), RULE)[0]
    np.testing.assert_allclose(sample.kspace, other.kspace, atol=1e-6)


def test_a_mask_moves_with_its_samples(stored, told) -> None:
    full, mask = np.roll(kspace(), 3, -1), lines()
    path = stored(full * mask, mask=mask)
    (said,) = told(path)
    assert "column 35 of 64" in said and "the mask with it" in said
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.mask, np.roll(mask, -3))
    np.testing.assert_array_equal(volume.kspace(0), kspace()[0] * np.roll(mask, -3))
    assert SliceDataset(path)[0].kspace.any()


def test_masked_samples_in_fft_order_are_centred(stored, told) -> None:
    control = kspace() * lines()
    moved = (np.fft.ifftshift(control, axes=(-2, -1)), np.fft.ifftshift(lines()))
    path = stored(moved[0], mask=moved[1])
    assert len(told(path)) == 2
    np.testing.assert_array_equal(open_volume(path).kspace(0), control[0])
    np.testing.assert_array_equal(open_volume(path).mask, lines())


def test_an_echo_between_the_lines_of_a_mask_is_not_looked_for(stored, told) -> None:
    mask = np.arange(SIDE) % 4 == 1
    path = stored(kspace(coils=1) * mask, mask=mask, ismrmrd_header=header(receivers=1))
    assert told(path) == []
    np.testing.assert_array_equal(open_volume(path).mask, mask)


def test_a_slice_whose_echo_lies_elsewhere_is_told(stored, told) -> None:
    samples = kspace()
    samples[2] = np.roll(samples[2], 9, -2)
    (said,) = told(stored(samples))
    assert "slice 2: the peak of k-space lies in row 41 of 64" in said


def partial(samples: np.ndarray) -> np.ndarray:
    samples = samples.copy()
    samples[..., :16] = 0
    return samples


def asymmetric(samples: np.ndarray) -> np.ndarray:
    samples = samples.copy()
    samples[..., :20, :] = 0
    return samples


def half(samples: np.ndarray) -> np.ndarray:
    kept = np.zeros_like(samples)
    kept[..., 16:48, 16:48] = samples[..., 16:48, 16:48]
    return kept


def silent(samples: np.ndarray) -> np.ndarray:
    samples = samples.copy()
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((*samples.shape[1:], 2)) @ (1, 1j)
    samples[1], samples[2] = noise, 0
    return samples


HONEST = {
    "plain": kspace(),
    "one sample off": np.roll(kspace(), (1, -1), (-2, -1)),
    "asymmetric echo": asymmetric(kspace()),
    "partial Fourier": partial(kspace()),
    "half the matrix": half(kspace()),
    "off centre": kspace(at=(0.15, -0.35)),
    "low signal": kspace(noise=0.3),
    "noise": silent(np.zeros_like(kspace())),
    "a slice of noise": silent(kspace()),
    "one coil": kspace(coils=1),
    "one slice": kspace(slices=1),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_scans_pass_without_a_word(stored, told, name: str) -> None:
    samples = HONEST[name]
    mask = lines()
    for given in ({}, {"mask": mask}):
        data = samples * mask if given else samples
        path = stored(data, ismrmrd_header=header(receivers=samples.shape[1]), **given)
        assert told(path) == []
        np.testing.assert_array_equal(open_volume(path).kspace(0), data[0])
    # Full k-space beside a mask: undersampled in retrospect.
    assert told(stored(samples, mask=mask, ismrmrd_header=header(receivers=samples.shape[1]))) == []


REAL = os.environ.get("DEQLAB_REAL_DATA")


@pytest.mark.skipif(REAL is None, reason="DEQLAB_REAL_DATA names no folder of measured scans")
def test_measured_scans_pass_without_a_word(stored, told) -> None:
    files = sorted(Path(str(REAL)).glob("*.h5"))
    assert files
    for path in files:
        assert told(path) == [], path
    masked = np.load(Path(str(REAL)) / "sigpy_brain_8ch_masked_ksp.npy")
    mask = (masked != 0).any(0)
    assert told(stored(masked[None], mask=mask, ismrmrd_header=None)) == []


def test_packed_partial_fourier_is_placed_by_its_header(stored, told) -> None:
    """96 of 128 columns, or 48 of 64: stored without the lines that were not acquired."""
    control, H = partial(kspace()), header(center=16, maximum=47)
    expected = open_volume(stored(control, ismrmrd_header=H))
    assert expected.acquired == (16, 64)
    packed = open_volume(stored(control[..., 16:], "packed.h5", ismrmrd_header=H))
    assert told(packed.path) == []
    assert (packed.shape, packed.recon_shape, packed.acquired) == (
        expected.shape,
        (SIDE, SIDE),
        (16, 64),
    )
    np.testing.assert_array_equal(packed.kspace(1), control[1])
    np.testing.assert_allclose(packed.target(1), expected.target(1), rtol=1e-6)
    mask = lines()
    mask[:16] = False
    path = stored((control * mask)[..., 16:], "masked.h5", ismrmrd_header=H, mask=mask[16:])
    np.testing.assert_array_equal(open_volume(path).mask, mask)
    np.testing.assert_array_equal(open_volume(path).kspace(1), control[1] * mask)


def test_a_packed_asymmetric_echo_is_placed_by_its_header(stored, told) -> None:
    control = asymmetric(kspace())
    path = stored(control[..., 20:, :], ismrmrd_header=header(rows=(12, 43)))
    assert told(path) == []
    np.testing.assert_array_equal(open_volume(path).kspace(0), control[0])


@pytest.mark.parametrize("masked", [False, True])
def test_columns_stored_from_the_first_on_are_placed_by_their_header(stored, told, masked) -> None:
    control, mask = partial(kspace()), lines()
    mask[:16] = False
    fields = {"mask": np.roll(mask, -16)} if masked else {}
    data = np.roll(control * mask if masked else control, -16, -1)
    path = stored(data, ismrmrd_header=header(center=16, maximum=47), **fields)
    (said,) = told(path)
    assert "from column 0 on, ismrmrd_header places them at 16 to 63" in said
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.kspace(1), control[1] * (mask if masked else 1))
    assert volume.acquired == (16, 64)
    assert not masked or (volume.mask == mask).all()


@pytest.mark.parametrize("center", [10, 32])
def test_samples_are_believed_where_the_header_places_them_elsewhere(
    stored, told, center: int
) -> None:
    samples = kspace()
    samples[..., :10], samples[..., 56:] = 0, 0
    path = stored(samples, ismrmrd_header=header(center=center, maximum=45))
    (said,) = told(path)
    assert "samples in columns 10 to 55; the samples are believed" in said
    volume = open_volume(path)
    assert volume.acquired == (10, 56)
    np.testing.assert_array_equal(volume.kspace(0), samples[0])
    control = stored(samples, "control.h5", ismrmrd_header=header(center=22, maximum=45))
    assert told(control) == [] and open_volume(control).acquired == (10, 56)


@pytest.mark.parametrize(
    "given, words",
    [
        ({"receivers": 16}, "16 receiverChannels, kspace has 4 coils"),
        ({"encoded": (SIDE, 80)}, "encodedSpace 64x80 differs from kspace 64x64"),
        ({"encoded": (128, SIDE)}, "encodedSpace 128x64 differs from kspace 64x64"),
    ],
)
def test_a_header_of_another_scan_is_told(stored, told, given, words) -> None:
    (said,) = told(stored(kspace(), ismrmrd_header=header(**given)))
    assert words in said


@pytest.mark.parametrize("with_header", [True, False])
@pytest.mark.parametrize(
    "order", [(0, 2, 3, 1), (0, 2, 1, 3), (3, 2, 1, 0)], ids=["last", "third", "reversed"]
)
def test_coils_on_another_axis_are_refused(stored, order, with_header: bool) -> None:
    fields = {} if with_header else {"ismrmrd_header": None}
    path = stored(kspace(slices=1).transpose(order), **fields)
    with pytest.raises(InputError, match=r"coils.*\(slices, coils, rows, columns\) needed"):
        open_volume(path)


def test_coils_that_look_like_slices_are_told(stored, told) -> None:
    path = stored(kspace()[0])
    (said,) = told(path)
    assert "taken as 4 slices of one coil, but ismrmrd_header says 4 receiverChannels" in said
    assert told(stored(kspace(coils=1)[:, 0], ismrmrd_header=header(receivers=15))) == []
