"""The reader against files written by h5py and numpy: physics, padding, targets, selection,
shapes.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.core.errors import DeqlabWarning, InputError
from deqlab.data import SliceDataset, collate, groups_by_shape, open_volume
from deqlab.data.prepare.on_grid import crop_magnitude
from deqlab.signal.sampling.masks import EquispacedMask, RandomMask


def middle(image, height, width):
    top, left = image.shape[-2] // 2 - height // 2, image.shape[-1] // 2 - width // 2
    return image[..., top : top + height, left : left + width]


def transform(image):
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, axes), norm="ortho"), axes)


SIZES = [(32, 20, (16, 18)), (33, 21, (15, 17)), (30, 20, (30, 20)), (31, 18, (16, 11))]


@pytest.mark.parametrize("rows, columns, recon", SIZES)
@pytest.mark.parametrize("coils", [None, 3])
def test_a_sample_is_the_masked_transform_of_the_cropped_image(
    raw_file, rows, columns, recon, coils
):
    """Readout oversampling leaves by a crop in image space; then come mask and scale, and nothing
    else.
    """
    raw = raw_file(rows=rows, columns=columns, recon=recon, coils=coils)
    dataset = SliceDataset(raw.path, RandomMask(2, 0.3), slices="all")
    for index, sample in enumerate(dataset):
        mask = sample.operator.mask.reshape(-1).numpy()
        expected = transform(middle(raw.images[index], recon[0], columns)) * mask / sample.scale
        assert 0.3 < mask.mean() < 0.8
        np.testing.assert_allclose(sample.kspace, expected, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(sample.target, raw.target[index] / sample.scale, rtol=1e-5)
        assert (
            sample.crop == recon
            and sample.slice == index
            and sample.file == "volume.h5"
            and sample.contrast == "AXT2"
        )
        assert sample.maximum == pytest.approx(raw.target.max(), rel=1e-6)


@pytest.mark.parametrize("coils", [None, 3])
def test_scale_makes_the_zero_filled_maximum_one(raw_file, coils):
    sample = SliceDataset(raw_file(coils=coils).path, RandomMask(2, 0.3))[0]
    assert sample.operator.H(sample.kspace[None]).abs().max() == pytest.approx(1, rel=1e-5)


def test_reference_is_the_image_that_the_operator_measures(raw_file):
    """Its magnitude is the target's, and A(reference) reproduces k-space as well as estimated maps
    allow.
    """
    raw = raw_file(rows=64, columns=48, recon=(32, 40))
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    shown = crop_magnitude(sample.reference, sample.crop)
    assert (shown - sample.target).norm() / sample.target.norm() < 0.02
    again = sample.operator(sample.reference[None])[0]
    assert (again - sample.kspace).norm() / sample.kspace.norm() < 0.05


def test_single_coil_reference_is_the_image_without_its_smooth_phase(raw_file):
    raw = raw_file(coils=None)
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    image = sample.reference * sample.operator.coil_maps[0, 0]
    np.testing.assert_allclose(image, middle(raw.images[0, 0], 16, 20) / sample.scale, atol=1e-5)
    assert sample.kspace.shape == (1, 16, 20)
    torch.testing.assert_close(sample.operator.coil_maps.abs(), torch.ones(1, 1, 16, 20))


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**40, 1e-41, 1e-30, 1e30])
def test_intensity_scale_changes_nothing_but_scale(raw_file, factor):
    """A power of two changes no bit; samples whose squares leave float32 neither vanish nor
    overflow.
    """
    one = SliceDataset(raw_file("volume.h5", intensity=1.0).path, RandomMask(2, 0.3))[0]
    other = SliceDataset(raw_file("volume.h5", intensity=factor).path, RandomMask(2, 0.3))[0]
    # Below 1e-38 float32 has fewer digits in the file itself.
    tolerance = 0 if np.log2(factor) % 1 == 0 else 1e-5 if factor > 1e-38 else 0.05
    np.testing.assert_allclose(other.kspace, one.kspace, rtol=0, atol=tolerance)
    np.testing.assert_allclose(other.scale, one.scale * factor, rtol=max(tolerance, 1e-15))
    np.testing.assert_allclose(other.reference, one.reference, rtol=0, atol=tolerance)


def test_double_precision_and_compound_samples_read_like_complex64(raw_file):
    def compound(file: h5py.File) -> None:
        samples = file["kspace"][()]
        del file["kspace"]
        pairs = np.empty(samples.shape, [("r", "<f4"), ("i", "<f4")])
        pairs["r"], pairs["i"] = samples.real, samples.imag
        # Written through the low-level type, as software other than h5py does.
        file.create_dataset("kspace", data=pairs)

    paths = [raw_file("volume.h5").path]
    first = SliceDataset(paths, RandomMask(2, 0.3))[0]
    for options in ({"dtype": np.complex128}, {"dtype": ">c8"}, {"change": compound}):
        sample = SliceDataset(raw_file("volume.h5", **options).path, RandomMask(2, 0.3))[0]
        assert sample.kspace.dtype == torch.complex64
        torch.testing.assert_close(sample.kspace, first.kspace, atol=1e-6, rtol=0)


def test_columns_that_were_not_acquired_leave_the_mask(raw_file):
    """padding_left = columns // 2 - center, padding_right = padding_left + maximum + 1."""
    raw = raw_file(columns=24, padding=(3, 2))
    assert open_volume(raw.path).acquired == (3, 22)
    for mask in (None, RandomMask(2, 0.3)):
        sampled = SliceDataset(raw.path, mask)[0].operator.mask.reshape(-1)
        assert not sampled[:3].any() and not sampled[22:].any() and sampled.any()
    full = SliceDataset(raw.path)[0].operator.mask.reshape(-1)
    assert full[3:22].all()


def test_masked_files_keep_their_mask_and_have_no_target(raw_file, center_mask):
    mask = center_mask(20)
    raw = raw_file(mask=mask)
    sample = SliceDataset(raw.path)[0]
    assert sample.target is None and sample.reference is None
    np.testing.assert_array_equal(sample.operator.mask.reshape(-1).numpy(), mask)
    expected = transform(middle(raw.images[0], 16, 20)) * mask / sample.scale
    np.testing.assert_allclose(sample.kspace, expected, atol=1e-5 * np.abs(expected).max())
    with pytest.raises(InputError, match=r"volume.h5: is undersampled already"):
        SliceDataset(raw.path, RandomMask(4, 0.08))


def test_two_dimensional_masks_keep_all_rows(raw_file):
    mask = np.random.default_rng(0).random((32, 20)) < 0.4
    mask[8:24, 5:15] = True
    raw = raw_file(mask=mask)
    sample = SliceDataset(raw.path)[0]
    assert sample.kspace.shape == (3, 32, 20) and sample.crop == (16, 18)
    np.testing.assert_allclose(
        sample.kspace, transform(raw.images[0]) * mask / sample.scale, atol=1e-4
    )
    # Maps come from the centre block alone: samples outside it do not move them.
    rows, columns = np.mgrid[:32, :20]
    far = (np.abs(rows - 16) > 8) | (np.abs(columns - 10) > 5)
    changed = raw_file("other.h5", mask=mask & ~far)
    maps = SliceDataset(changed.path)[0].operator.coil_maps
    torch.testing.assert_close(maps, sample.operator.coil_maps, atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="two-dimensional"):
        SliceDataset(raw.path, max_pixels=40)[0]


def test_a_two_dimensional_mask_of_whole_columns_is_one_of_columns(raw_file, center_mask):
    mask = center_mask(20)
    flat, tall = (raw_file("volume.h5", mask=m).path for m in (mask, np.tile(mask, (32, 1))))
    assert SliceDataset(tall)[0].kspace.shape == SliceDataset(flat)[0].kspace.shape == (3, 16, 20)


def test_file_without_target_gets_the_root_sum_of_squares(raw_file):
    def drop(file: h5py.File) -> None:
        del file["reconstruction_rss"], file.attrs["max"]

    raw = raw_file(change=drop)
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    np.testing.assert_allclose(sample.target, raw.target[0] / sample.scale, rtol=1e-4, atol=1e-6)
    assert sample.maximum == pytest.approx(raw.target.max(), rel=1e-5)


def test_single_coil_files_prefer_the_target_of_their_own_kspace(raw_file):
    """Single-coil fastMRI files also hold reconstruction_rss, which came from all coils of the
    scanner.
    """
    raw = raw_file(
        coils=None,
        change=lambda file: file.create_dataset(
            "reconstruction_rss", data=np.ones((2, 16, 18), np.float32)
        ),
    )
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    np.testing.assert_allclose(sample.target, raw.target[0] / sample.scale, rtol=1e-5)


def test_absent_header_works_with_a_warning(raw_file):
    raw = raw_file(change=lambda file: file.__delitem__("ismrmrd_header"))
    with pytest.warns(DeqlabWarning, match="volume.h5: no ismrmrd_header"):
        dataset = SliceDataset(raw.path, RandomMask(2, 0.3))
    assert dataset[0].crop == raw.recon  # from the target


def test_a_matrix_wider_than_kspace_is_cut_to_it(raw_file):
    """As in fastMRI's brain files that show 320 columns of 264 encoded ones."""

    def widen(file: h5py.File) -> None:
        text = file["ismrmrd_header"][()]
        del file["ismrmrd_header"]
        encoded, recon = text.split(b"<reconSpace>")
        file["ismrmrd_header"] = (
            encoded + b"<reconSpace>" + recon.replace(b"<y>20</y>", b"<y>40</y>")
        )

    raw = raw_file(recon=(16, 20), change=widen)
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    assert sample.crop == tuple(sample.target.shape) == (16, 20)


def test_a_target_larger_than_the_matrix_to_show_is_cut_to_it(raw_file):
    def enlarge(file: h5py.File) -> None:
        target = file["reconstruction_rss"][()]
        del file["reconstruction_rss"]
        file["reconstruction_rss"] = np.pad(target, ((0, 0), (2, 2), (1, 1)), constant_values=9)

    raw = raw_file(change=enlarge)
    sample = SliceDataset(raw.path, RandomMask(2, 0.3))[0]
    np.testing.assert_allclose(sample.target, raw.target[0] / sample.scale, rtol=1e-5)
    assert sample.crop == (16, 18)


def test_slices_of_rich_anatomy_are_the_default(raw_file):
    long = raw_file("long.h5", slices=30, coils=None, rows=8, columns=8, recon=(4, 4)).path
    short = raw_file("short.h5", slices=27, coils=None, rows=8, columns=8, recon=(4, 4)).path

    def chosen(path, slices):
        return [index for _, index in SliceDataset(path, slices=slices).items]

    assert chosen(long, None) == list(range(11, 28))
    assert chosen(short, None) == list(range(27))
    assert chosen(long, "all") == list(range(30))
    assert chosen(long, (3, 6)) == [3, 4, 5]
    assert chosen(long, [7, 2]) == [7, 2]
    for wrong in ("some", (3, 31), (5, 5), [30], [-1]):
        with pytest.raises(InputError, match="slice"):
            chosen(long, wrong)


def test_evaluation_masks_belong_to_the_volume(raw_file):
    """One mask for all slices, the same at every access, another for another name or seed."""
    paths = [raw_file(name, columns=48).path for name in ("a.h5", "b.h5")]

    def masks(seed=0):
        return [
            sample.operator.mask for sample in SliceDataset(paths, RandomMask(4, 0.08), seed=seed)
        ]

    first, again, reseeded = masks(), masks(), masks(seed=1)
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])
    assert all(map(torch.equal, first, again)) and not torch.equal(first[0], reseeded[0])


def test_training_draws_depend_on_the_generator_alone(raw_file):
    dataset = SliceDataset(
        raw_file(columns=48).path,
        [RandomMask(4, 0.08), EquispacedMask(8, 0.04)],
        noise=(0, 0.1),
        max_pixels=400,
    )
    rng = np.random.default_rng(3)
    dataset.sample(0, rng)
    state = rng.bit_generator.state
    first = dataset.sample(1, rng)
    rng.bit_generator.state = state
    again = dataset.sample(1, rng)
    other = dataset.sample(1, rng)
    assert torch.equal(first.kspace, again.kspace) and torch.equal(first.target, again.target)
    assert not torch.equal(first.operator.mask, other.operator.mask)


def test_mixed_rules_are_all_used(raw_file):
    dataset = SliceDataset(
        raw_file(columns=64).path, [EquispacedMask(2, 0.1), EquispacedMask(8, 0.1)]
    )
    rng = np.random.default_rng(0)
    counts = [int(dataset.sample(0, rng).operator.mask.sum()) for _ in range(40)]
    assert set(counts) == {32, 8} and 8 <= counts.count(8) <= 32


def test_shapes_are_known_before_reading(raw_file):
    paths = [
        raw_file("a.h5").path,
        raw_file("b.h5", columns=24).path,
        raw_file("c.h5").path,
        raw_file("d.h5", coils=None).path,
    ]
    for limit in (None, 100):
        dataset = SliceDataset(paths, RandomMask(2, 0.3), max_pixels=limit)
        for index, sample in enumerate(dataset):
            assert (*sample.kspace.shape, *sample.target.shape) == dataset.shape(index)
            assert sample.crop == tuple(sample.target.shape)
        groups = groups_by_shape(dataset)
        assert sorted(sum(groups.values(), [])) == list(range(8))
        assert [0, 1, 4, 5] in groups.values() and len(groups) == 3
        for group in groups.values():
            assert len(collate([dataset[index] for index in group]).file) == len(group)


def test_folders_are_read_in_order_of_names(raw_file, tmp_path: Path):
    for name in ("b.h5", "a.hdf5", ".hidden.h5", "notes.txt"):
        raw_file(name, slices=1)
    assert [volume.path.name for volume in SliceDataset(tmp_path).volumes] == ["a.hdf5", "b.h5"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: holds no"):
        SliceDataset(tmp_path / "empty")


def test_a_rewritten_file_is_read_anew(raw_file):
    raw = raw_file(slices=2)
    assert len(SliceDataset(raw.path)) == 2
    raw_file(slices=3)
    assert len(SliceDataset(raw.path)) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"coil_maps": "espirit"},
        {"noise": -0.1},
        {"noise": (0.2, 0.1)},
        {"noise": float("nan")},
        {"max_pixels": 0},
    ],
)
def test_wrong_choices_are_refused(raw_file, options):
    with pytest.raises(InputError, match=next(iter(options))):
        SliceDataset(raw_file().path, RandomMask(2, 0.3), **options)


@pytest.mark.skipif(
    "DEQLAB_REAL_DATA" not in os.environ,
    reason="DEQLAB_REAL_DATA names no folder of measured files",
)
def test_measured_brain_is_read():
    dataset = SliceDataset(
        Path(os.environ["DEQLAB_REAL_DATA"]) / "brain_t2_4ch_256x256.h5", RandomMask(4, 0.08)
    )
    sample = dataset[0]
    assert (
        sample.kspace.shape == (4, 256, 256)
        and sample.crop == (256, 256)
        and 1e-4 < sample.scale < 1e-2
    )
    again = sample.operator(sample.reference[None])[0]
    assert (again - sample.kspace).norm() / sample.kspace.norm() < 0.05
