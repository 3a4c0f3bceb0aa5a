"""Non-Cartesian files: what is written is read back, and every kind of bad file ends in one line
that names file, field and value.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.data import open_volume, write_noncartesian
from deqlab.data.check import check
from deqlab.data.formats.fastmri import FastMRI
from deqlab.data.formats.trajectory_layout import TrajectoryLayout
from deqlab.signal.sampling.trajectories import Radial, Spiral

MATRIX = (12, 10)
LAYOUT = TrajectoryLayout()
SPOKES = Radial(5).sample(MATRIX)
SAMPLES = len(SPOKES)


def samples(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


@pytest.fixture
def raw(tmp_path: Path) -> Callable[..., Path]:
    """`raw(change)` writes a sound file with h5py alone, and edits it at the end."""

    def write(change: Callable[[h5py.File], None] | None = None) -> Path:
        path = tmp_path / "spokes.h5"
        with h5py.File(path, "w") as file:
            file["kspace"] = samples(2, 3, SAMPLES)
            file["trajectory"] = SPOKES.numpy() * MATRIX
            file["density"] = np.linspace(0, 2, SAMPLES)
            file["readout_times"] = np.linspace(-1e-3, 1e-3, SAMPLES)
            file["field_map"] = np.full((2, *MATRIX), 30.0, np.float32)
            file.attrs["matrix"] = MATRIX
            file.attrs["field_of_view"] = (240.0, 200.0)
            file.attrs["acquisition"] = "AXT2"
            file.attrs["patient_id"] = "0123"
            if change is not None:
                change(file)
        return path

    return write


def test_a_file_is_read_as_documented(raw) -> None:
    path = raw()
    volume = LAYOUT.open(path)
    assert LAYOUT.recognises(path)
    assert (volume.shape, volume.matrix, volume.field_of_view) == (
        (2, 3, SAMPLES),
        MATRIX,
        (240.0, 200.0),
    )
    assert (volume.contrast, volume.patient_id, volume.slices) == ("AXT2", "0123", 2)
    np.testing.assert_array_equal(volume.kspace(1), samples(2, 3, SAMPLES)[1])
    torch.testing.assert_close(volume.trajectory(1), SPOKES)
    torch.testing.assert_close(
        volume.density(0), torch.linspace(0, 2, SAMPLES, dtype=torch.float64)
    )
    field, times = volume.field_map(1)
    assert field.dtype == times.dtype == torch.float64
    assert float(field.mean()) == 30.0 and float(times[0]) == -1e-3


def test_written_and_read_back(tmp_path: Path) -> None:
    """One coil without its axis, a trajectory of each slice's own, nothing optional."""
    own = np.stack(
        [Radial(4, 16).sample(MATRIX).numpy(), Spiral(1, 2.0).sample(MATRIX).numpy()[:64]]
    )
    given = samples(2, 64)
    path = write_noncartesian(tmp_path / "a.h5", given, own, MATRIX)
    volume = LAYOUT.open(path)
    assert volume.shape == (2, 1, 64) and volume.has == frozenset() and volume.field_of_view is None
    assert (
        volume.density(0) is None and volume.field_map(0) is None and volume.contrast == "unknown"
    )
    for index in range(2):
        np.testing.assert_array_equal(volume.kspace(index)[0], given[index])
        np.testing.assert_allclose(volume.trajectory(index), own[index], rtol=0, atol=1e-15)
    again = write_noncartesian(tmp_path / "b.h5", given, own, MATRIX)
    assert path.read_bytes() == again.read_bytes()


def test_the_truth_is_read_as_documented(raw) -> None:
    target = np.linspace(0, 1, 240).reshape(2, *MATRIX).astype(np.float32)
    coils = samples(2, 3, *MATRIX)

    def both(file: h5py.File) -> None:
        file["target"], file["reference"] = target, coils

    volume = LAYOUT.open(raw(both))
    assert volume.knows == {"target", "reference"}
    np.testing.assert_array_equal(volume.target(1), target[1])
    np.testing.assert_array_equal(volume.reference(1), coils[1])
    assert volume.maximum == 1
    volume = LAYOUT.open(raw(lambda file: file.create_dataset("reference", data=coils)))
    assert volume.knows == {"target", "reference"}
    expected = np.sqrt((np.abs(coils[0].astype(complex)) ** 2).sum(0))
    np.testing.assert_allclose(volume.target(0), expected, rtol=1e-12)
    volume = LAYOUT.open(raw(lambda file: file.create_dataset("target", data=target)))
    assert volume.knows == {"target"} and volume.reference(0) is None
    volume = LAYOUT.open(raw())
    assert volume.knows == frozenset() and volume.target(0) is None and np.isnan(volume.maximum)


def test_a_single_coils_truth_has_no_coil_axis(tmp_path: Path) -> None:
    given, image = samples(2, SAMPLES), samples(2, *MATRIX)
    volume = LAYOUT.open(
        write_noncartesian(tmp_path / "a.h5", given, SPOKES.numpy(), MATRIX, reference=image)
    )
    np.testing.assert_array_equal(volume.reference(1), image[1][None])
    np.testing.assert_allclose(volume.target(1), np.abs(image[1]), rtol=1e-6)


@pytest.mark.parametrize(
    "name, kind, words", [("target", "f", "values"), ("reference", "c", "samples")]
)
def test_a_truth_that_is_not_finite_is_refused_with_its_slice(raw, name, kind, words) -> None:
    shape = (2, *MATRIX) if kind == "f" else (2, 3, *MATRIX)
    values = np.ones(shape, {"f": np.float32, "c": np.complex64}[kind])
    values[1].reshape(-1)[0] = np.nan
    volume = LAYOUT.open(raw(lambda file: file.create_dataset(name, data=values)))
    volume.target(0)
    with pytest.raises(InputError, match=f"spokes.h5: {name} slice 1 holds NaN or infinite"):
        volume.target(1)
    assert check(volume.path) == [
        f"{name} slice 1 holds NaN or infinite {words}; all must be finite"
    ]


def test_a_negative_target_is_refused(raw) -> None:
    volume = LAYOUT.open(
        raw(lambda file: file.create_dataset("target", data=-np.ones((2, *MATRIX))))
    )
    with pytest.raises(InputError, match="spokes.h5: target slice 0 reaches down to -1"):
        volume.target(0)


def test_positions_in_float32_and_weights_of_each_slice(tmp_path: Path) -> None:
    edge = np.array([[-0.5, 0.5], [0.5, -0.5], [0, 0]], np.float32)
    density = np.array([[1, 2, 3], [4, 5, 6.0]])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"], file["trajectory"], file["density"] = (
            samples(2, 3),
            edge * np.float32(321),
            density,
        )
        file.attrs["matrix"] = [321, 321]
    volume = LAYOUT.open(tmp_path / "a.h5")
    assert float(volume.trajectory(0).abs().max()) == 0.5
    assert volume.density(1).tolist() == [4, 5, 6]


def test_a_cartesian_file_is_none(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["kspace"] = samples(2, 3, 8, 8)
    assert not LAYOUT.recognises(tmp_path / "a.h5")


def replace(name: str, value: object):
    def change(file: h5py.File) -> None:
        if name in file:
            del file[name]
        file[name] = value

    return change


def remove(name: str):
    return lambda file: file.__delitem__(name)


def spoil(name: str, value: float):
    def change(file: h5py.File) -> None:
        values = file[name][()]
        values.reshape(-1)[3] = value
        replace(name, values)(file)

    return change


def attribute(name: str, value: object, **options: object):
    def change(file: h5py.File) -> None:
        file.attrs.create(name, value, **options)

    return change


def relink(name: str, link: object):
    def change(file: h5py.File) -> None:
        file.move(name, "elsewhere")
        file[name] = link

    return change


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((SAMPLES, 2), np.float64)
    layout[:] = h5py.VirtualSource("other.h5", "trajectory", (SAMPLES, 2))
    del file["trajectory"]
    file.create_virtual_dataset("trajectory", layout)


def external_storage(file: h5py.File) -> None:
    del file["density"]
    file.create_dataset(
        "density", (SAMPLES,), np.float64, external=[("/etc/hostname", 0, 8 * SAMPLES)]
    )


def objects(file: h5py.File) -> None:
    del file.attrs["matrix"]
    file.attrs.create("matrix", [file["kspace"].ref] * 2, dtype=h5py.ref_dtype)


def huge(file: h5py.File) -> None:
    del file["kspace"]
    file.create_dataset("kspace", (1, 1, 10**9), np.complex64, chunks=(1, 1, 1000))


GRID = SPOKES.numpy() * MATRIX
DEFECTS = {
    "no kspace": (remove("kspace"), "no `kspace`; it holds density"),
    "no trajectory": (remove("trajectory"), "no `trajectory`; it holds density"),
    "kspace of four axes": (
        replace("kspace", samples(2, 3, 4, 5)),
        r"kspace has shape \(2, 3, 4, 5\); \(slices, samples\) or",
    ),
    "real kspace": (
        replace("kspace", np.zeros((2, 3, SAMPLES))),
        "kspace is float64; complex samples needed",
    ),
    "empty kspace": (
        replace("kspace", samples(2, 0, SAMPLES)),
        "kspace has shape .*every axis needs at least one sample",
    ),
    "huge kspace": (huge, "kspace declares slices of .*at most"),
    "short trajectory": (
        replace("trajectory", GRID[:-1]),
        (
            rf"trajectory has shape \({SAMPLES - 1}, 2\); \({SAMPLES}, 2\) or \(2, {SAMPLES}, 2\)"
            r" needed"
        ),
    ),
    "trajectory of other slices": (
        replace("trajectory", np.stack([GRID] * 3)),
        r"trajectory has shape \(3, ",
    ),
    "three columns": (replace("trajectory", np.zeros((SAMPLES, 3))), "trajectory has shape"),
    "complex trajectory": (
        replace("trajectory", GRID + 0j),
        "trajectory is complex128; real numbers needed",
    ),
    "text trajectory": (
        replace("trajectory", np.full((SAMPLES, 2), b"1")),
        "trajectory is .*real numbers needed",
    ),
    "nan trajectory": (spoil("trajectory", np.nan), "trajectory holds 1 NaN or infinite values"),
    "infinite trajectory": (
        spoil("trajectory", np.inf),
        "trajectory holds 1 NaN or infinite values",
    ),
    "ky too far": (
        spoil("trajectory", 5.2),
        r"trajectory reaches 5.2 in kx; .*within \+-5 needed for a matrix of 12x10",
    ),
    "in radians": (
        replace("trajectory", SPOKES.numpy() * 2 * np.pi * 12),
        "trajectory reaches 35.854 in ky; cycles per field of view",
    ),
    "short density": (
        replace("density", np.ones(SAMPLES - 1)),
        rf"density has shape \({SAMPLES - 1},\); \({SAMPLES},\) or",
    ),
    "negative density": (spoil("density", -0.1), "density reaches from -0.1 to 2; weights >= 0"),
    "zero density": (
        replace("density", np.zeros(SAMPLES)),
        "density reaches from 0 to 0; weights >= 0, not all zero",
    ),
    "nan density": (spoil("density", np.nan), "density holds 1 NaN"),
    "short times": (replace("readout_times", np.zeros(3)), r"readout_times has shape \(3,\)"),
    "map without times": (remove("readout_times"), "a field_map but no readout_times"),
    "map of another size": (
        replace("field_map", np.zeros((2, 10, 12))),
        r"field_map has shape \(2, 10, 12\); \(2, 12, 10\) needed",
    ),
    "nan map": (spoil("field_map", np.nan), "field_map holds 1 NaN"),
    "no matrix": (lambda file: file.attrs.__delitem__("matrix"), "no attribute `matrix`"),
    "matrix zero": (
        attribute("matrix", [0, 10]),
        r"attribute matrix is \(0.0, 10.0\); whole numbers",
    ),
    "matrix broken": (attribute("matrix", [12.5, 10]), r"attribute matrix is \(12.5, 10.0\)"),
    "matrix huge": (attribute("matrix", [10**6, 10**6]), "attribute matrix is .* to 4096 needed"),
    "matrix nan": (
        attribute("matrix", [np.nan, 10]),
        "attribute matrix is .*two finite numbers needed",
    ),
    "matrix of one": (
        attribute("matrix", 12),
        r"attribute matrix has shape \(\); two numbers needed",
    ),
    "matrix text": (attribute("matrix", ["12", "10"]), "attribute matrix (is|holds)"),
    "matrix objects": (objects, "attribute matrix holds objects; two numbers needed"),
    "field of view zero": (
        attribute("field_of_view", [240.0, 0.0]),
        r"attribute field_of_view is \(240.0, 0.0\); two positive lengths in mm",
    ),
    "field of view negative": (
        attribute("field_of_view", [-240.0, 240.0]),
        "attribute field_of_view is .*two positive",
    ),
    "number as contrast": (
        attribute("acquisition", 3),
        "attribute acquisition is .*; a text needed",
    ),
    "external link": (
        relink("trajectory", h5py.ExternalLink("other.h5", "/trajectory")),
        "trajectory is an external link",
    ),
    "soft link": (
        relink("kspace", h5py.SoftLink("/elsewhere")),
        "kspace is a soft link; .*in the file itself",
    ),
    "linked density": (
        relink("density", h5py.ExternalLink("other.h5", "/density")),
        "density is an external link",
    ),
    "target of another size": (
        replace("target", np.ones((2, 12, 11))),
        r"target has shape \(2, 12, 11\); \(2, 12, 10\) needed",
    ),
    "complex target": (
        replace("target", samples(2, *MATRIX)),
        "target is complex64; real magnitudes needed",
    ),
    "reference without coils": (
        replace("reference", samples(2, *MATRIX)),
        r"reference has shape \(2, 12, 10\); \(2, 3, 12, 10\) needed",
    ),
    "real reference": (
        replace("reference", np.ones((2, 3, *MATRIX))),
        "reference is float64; complex images needed",
    ),
    "linked reference": (
        lambda file: file.__setitem__("reference", h5py.SoftLink("/elsewhere")),
        "reference is a soft link",
    ),
    "virtual": (virtual, "trajectory takes its data from other files"),
    "external storage": (external_storage, "density takes its data from other files"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_refused_on_opening(raw, name) -> None:
    change, message = DEFECTS[name]
    path = raw(change)
    with pytest.raises(InputError, match=rf"spokes\.h5: {message}") as caught:
        LAYOUT.open(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    if name != "no trajectory":
        assert check(path) == [str(caught.value).removeprefix(f"{path}: ")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -1j * np.inf])
def test_samples_that_are_not_finite_are_refused_with_their_slice(raw, value) -> None:
    def change(file: h5py.File) -> None:
        file["kspace"][1, 2, 5] = value

    volume = LAYOUT.open(raw(change))
    volume.kspace(0)
    with pytest.raises(InputError, match="spokes.h5: kspace slice 1 holds NaN or infinite samples"):
        volume.kspace(1)
    assert check(volume.path) == ["kspace holds NaN or infinite samples in slice 1"]


def test_silent_slices_are_told_and_sound_files_have_no_defect(raw) -> None:
    assert check(raw()) == []

    def change(file: h5py.File) -> None:
        file["kspace"][0] = 0

    assert check(raw(change)) == ["kspace holds only zeros in slice 0"]


def test_the_cartesian_reader_does_not_mistake_samples_for_rows(raw) -> None:
    with pytest.raises(
        InputError, match="spokes.h5: has a trajectory, so it is not on a Cartesian grid"
    ):
        FastMRI().open(raw())


def test_files_that_are_no_hdf5(raw, tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("k-space")
    (tmp_path / "cut.h5").write_bytes(raw().read_bytes()[:3000])
    cases = {
        "nowhere.h5": "no such file",
        "text.h5": "not a readable HDF5",
        "cut.h5": "truncated",
        ".": "is a folder",
    }
    for name, message in cases.items():
        for question in (LAYOUT.open, open_volume):
            with pytest.raises(InputError, match=message):
                question(tmp_path / name)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            {"trajectory": SPOKES.numpy() * 1.1},
            r"a.h5: trajectory reaches 0.523\d+ in ky; cycles per pixel within \+-0.5 needed",
        ),
        ({"trajectory": SPOKES.numpy()[:-1]}, "a.h5: trajectory has shape"),
        ({"matrix": (0, 10)}, "a.h5: attribute matrix is"),
        ({"field_of_view": (0, 240)}, "a.h5: attribute field_of_view is"),
        ({"density": -np.ones(SAMPLES)}, "a.h5: density reaches from -1"),
        ({"kspace": np.full((1, SAMPLES), np.nan + 0j)}, "a.h5: kspace slice 0 holds NaN"),
        ({"kspace": np.zeros((1, SAMPLES))}, "a.h5: kspace of type float64"),
    ],
)
def test_nothing_is_written_that_would_not_be_read(tmp_path: Path, arguments, message) -> None:
    given = {
        "kspace": samples(1, SAMPLES),
        "trajectory": SPOKES.numpy(),
        "matrix": MATRIX,
        **arguments,
    }
    with pytest.raises(InputError, match=message):
        write_noncartesian(tmp_path / "a.h5", **given)
    assert list(tmp_path.iterdir()) == []
