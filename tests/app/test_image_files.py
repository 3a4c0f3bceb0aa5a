"""Every format of image files holds the images that .h5 holds, and nothing that it should not."""

from __future__ import annotations

import io
import resource
from pathlib import Path
from xml.etree import ElementTree

import h5py
import nibabel
import numpy as np
import pytest
from PIL import Image

from deqlab.app.image_files.picture import FEW, Picture
from deqlab.app.image_files.registry import IMAGE_FILES, endings, picture_at, written_as
from deqlab.app.reconstruct_file import Request, reconstruct_file
from deqlab.app.reconstructed import Reconstruction
from deqlab.core.errors import InputError
from deqlab.data import write_noncartesian, write_volume
from deqlab.data.formats.ismrmrd_header import NAMESPACE, build_header, parse_header
from deqlab.data.sampling import Seeded
from deqlab.recon.base import Budget, Method
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.recon.registry import create
from deqlab.signal.sampling.masks import RandomMask

RULE = Seeded(RandomMask(2, 0.3), 0)
SECRET = "jane-doe"  # in the file's name and its patient's
SHAPE = (20, 22)


def kspace(slices: int) -> np.ndarray:
    """Of an ellipse in noise, as bright as the slice's number; complex64 (slices, 40, 24)."""
    y, x = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 24), indexing="ij")
    head = ((y / 0.4) ** 2 + (x / 0.7) ** 2 < 1) * (1 + 0.3 * np.sin(9 * x + 4 * y))
    noise = 0.01 * np.random.default_rng(0).standard_normal((2, slices, 40, 24))
    images = head * np.arange(1, slices + 1)[:, None, None] + noise[0] + 1j * noise[1]
    axes = (-2, -1)
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images, axes), norm="ortho"), axes).astype(
        np.complex64
    )


def say_field_of_view(path: Path, x: object, y: object, z: object, matrix_z: int = 1) -> None:
    """The header of the file gives these mm, as a scanner's does."""
    root = ElementTree.fromstring(build_header((40, 24), SHAPE, (0, 24), 1))
    of = {"x": NAMESPACE}
    root.remove(root.find("x:userParameters", of))
    space = root.find("x:encoding/x:encodedSpace", of)
    for axis, length in zip("xyz", (x, y, z)):
        space.find(f"x:fieldOfView_mm/x:{axis}", of).text = str(length)
    space.find("x:matrixSize/x:z", of).text = str(matrix_z)
    with h5py.File(path, "a") as file:
        del file["ismrmrd_header"]
        file["ismrmrd_header"] = ElementTree.tostring(root)


@pytest.fixture
def scan(tmp_path: Path):
    """`scan(slices)` writes a file of so many, fully sampled, whose patient is named."""

    def write(slices: int = 3) -> Path:
        path = tmp_path / f"{SECRET}.h5"
        return write_volume(path, kspace(slices), "AXT2", SHAPE, patient_id=SECRET)

    return write


def nifti(path: Path) -> nibabel.Nifti1Image:
    return nibabel.load(path)


def read(path: Path) -> np.ndarray:
    """The images (slices, h, w), by the library to which a format belongs."""
    if path.suffix in (".h5", ".hdf5"):
        with h5py.File(path) as file:
            return file["reconstruction"][()]
    if path.suffix == ".npy":
        return np.load(path)
    return np.asarray(nifti(path).dataobj).T


ARRAYS = [ending for ending in endings() if ending != ".png"]


@pytest.mark.parametrize("ending", ARRAYS)
def test_every_format_of_arrays_holds_the_same_images(scan, tmp_path, ending: str) -> None:
    out = tmp_path / f"out{ending}"
    result = reconstruct_file(Request(scan(), out, RULE), ZeroFilled())
    found = read(out)
    assert found.dtype == np.float32 and found.shape == (3, *SHAPE)
    np.testing.assert_array_equal(found, result.images)
    # Slices, rows and columns all differ, so their order was compared too.
    assert found[2].max() > 2 * found[0].max() > 0
    assert not np.allclose(found, found[:, ::-1]) and not np.allclose(found, found[..., ::-1])


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_voxels_are_as_large_as_the_header_says(scan, tmp_path, ending: str) -> None:
    out, path = tmp_path / f"out{ending}", scan()
    say_field_of_view(path, 80, 36, 4.5)
    reconstruct_file(Request(path, out, RULE), ZeroFilled())
    header = nifti(out).header
    # Columns, rows, slices: 36 mm / 24, 80 mm / 40; the crop to 20 x 22 changes no pixel.
    np.testing.assert_allclose(header.get_zooms(), (1.5, 2.0, 4.5), rtol=1e-6)
    assert header.get_xyzt_units()[0] == "mm"
    assert b"field of view / matrix" in header["descrip"].item()
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 0)


@pytest.mark.parametrize(
    "slices, depth", [([0, 2, 4], 9.0), ([1], 4.5), ((1, 4), 4.5), ([0, 1, 4], 1.0)]
)
def test_chosen_slices_are_as_far_apart_as_they_were(scan, tmp_path, slices, depth) -> None:
    out, path = tmp_path / "out.nii", scan(5)
    say_field_of_view(path, 80, 36, 9, matrix_z=2)
    reconstruct_file(Request(path, out, RULE, slices), ZeroFilled())
    header = nifti(out).header
    np.testing.assert_allclose(header.get_zooms(), (1.5, 2.0, depth), rtol=1e-6)
    assert (b"taken as 1 mm: slice;" in header["descrip"].item()) == (depth == 1)


def test_a_side_that_nothing_says_is_1_mm_and_is_said_to_be(scan, tmp_path) -> None:
    out, path = tmp_path / "out.nii", scan()
    reconstruct_file(Request(path, out, RULE), ZeroFilled())
    header = nifti(out).header
    # A header of our own measured nothing.
    assert header.get_zooms() == (1, 1, 1)
    assert b"taken as 1 mm: slice, row, column;" in header["descrip"].item()
    for useless in ("wide", -3, 0, "nan", "inf", ""):
        say_field_of_view(path, 80, useless, 4.5)
        reconstruct_file(Request(path, out, RULE), ZeroFilled())
        header = nifti(out).header
        assert header.get_zooms() == (1, 2, 4.5)
        assert b"taken as 1 mm: column;" in header["descrip"].item()


def test_an_image_off_the_grid_has_the_pixels_of_its_field_of_view(tmp_path) -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (900, 2))
    path = write_noncartesian(
        tmp_path / "in.h5", np.ones((1, 2, 900), complex), points, (16, 20), contrast="T2"
    )
    with h5py.File(path, "a") as file:
        file.attrs["field_of_view"] = (48.0, 40.0)
    reconstruct_file(Request(path, tmp_path / "out.nii", coils=None), ZeroFilled())
    assert nifti(tmp_path / "out.nii").header.get_zooms() == (2, 3, 1)


def test_a_header_without_a_field_of_view_is_no_error() -> None:
    text = build_header((40, 24), SHAPE, (0, 24), 1).replace(b"fieldOfView_", b"other_")
    assert parse_header(text).voxel == (None, None, None)


@pytest.mark.parametrize("ending", [".npy", ".nii", ".nii.gz", ".png"])
def test_no_name_place_or_date_is_inside_and_the_bytes_repeat(scan, tmp_path, ending) -> None:
    path, contents = scan(), []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        out = tmp_path / folder / f"{folder}{ending}"
        reconstruct_file(Request(path, out, RULE, attributes={"model": "m"}), ZeroFilled())
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    # Of what is packed, the header of the packing too.
    plain = read_packed(contents[0], ending)
    for part in (SECRET, tmp_path.name, str(tmp_path), "one", "AXT2"):
        assert part.encode() not in plain + contents[0]
    if ending == ".nii.gz":
        assert contents[0][3:8] == bytes(5)  # no flag for a name, no time


def read_packed(content: bytes, ending: str) -> bytes:
    if ending == ".nii.gz":
        import gzip

        return gzip.decompress(content)
    if ending == ".png":
        return repr(Image.open(io.BytesIO(content)).info).encode()
    return content


def drawn(path: Path) -> np.ndarray:
    """The picture, grey from 0 to 255 (y, x)."""
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        return np.asarray(image.convert("L"))


def contracting():
    """An equilibrium model whose map is a contraction."""
    denoiser = {"name": "dncnn", "depth": 2, "width": 4, "lipschitz": 0.5, "residual": False}
    return create("de-grad", denoiser=denoiser, step=0.5).eval()


@pytest.mark.parametrize("model", [ZeroFilled(), contracting()], ids=["direct", "iterating"])
@pytest.mark.parametrize("slices", [1, FEW, FEW + 1])
def test_a_quick_look_opens_and_is_not_blank(scan, tmp_path, model, slices) -> None:
    out, look = tmp_path / "out.npy", tmp_path / "look.png"
    request = Request(scan(slices), out, RULE, attributes={"model": "m"}, quick_look=look)
    result = reconstruct_file(request, model)
    assert sorted(result.zero_filled) == list(Picture().shown(slices))
    assert len(result.zero_filled) == (slices if slices <= FEW else 1)
    picture = drawn(look)
    assert len(np.unique(picture)) > 50 and 0.05 < (picture < 128).mean() < 0.95
    np.testing.assert_array_equal(read(out), result.images)


def test_a_picture_as_output_is_the_quick_look(scan, tmp_path) -> None:
    out, look = tmp_path / "out.png", tmp_path / "look.PNG"
    reconstruct_file(Request(scan(), out, RULE, quick_look=look), ZeroFilled())
    assert out.read_bytes() == look.read_bytes()


@pytest.mark.parametrize("name", list(IMAGE_FILES))
def test_the_room_suffices_for_the_file(name: str) -> None:
    images = np.random.default_rng(0).random((3, 200, 300), np.float32)
    result = Reconstruction(images, [0, 1, 2], np.ones(300, bool))
    result.zero_filled = dict(enumerate(images[::-1]))
    blank = Reconstruction(np.zeros_like(images), [0, 1, 2], np.ones(300, bool))
    kind = IMAGE_FILES.make(name)
    content = kind.content(result)
    assert 50_000 < len(content) <= kind.room(blank)


@pytest.mark.parametrize("ending", endings())
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside"])
def test_a_full_disk_is_told_before_the_work(scan, tmp_path, ending, beside) -> None:
    path, calls = scan(), []

    class Never(Method):
        def reconstruct(self, kspace, A, budget):
            calls.append(kspace)

    look = tmp_path / "look.png" if beside else None
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20 if beside else 1024, limits[1]))
    try:
        with pytest.raises(InputError, match=f"{'look.png' if beside else 'out'}.*not be written"):
            reconstruct_file(
                Request(path, tmp_path / f"out{ending}", RULE, quick_look=look), Never()
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not calls and list(tmp_path.iterdir()) == [path]


def test_a_picture_that_fails_costs_no_images(scan, tmp_path, monkeypatch) -> None:
    def fail(self, result):
        raise RuntimeError("no figure")

    monkeypatch.setattr(Picture, "content", fail)
    out, look = tmp_path / "out.npy", tmp_path / "look.png"
    with pytest.raises(RuntimeError, match="no figure"):
        reconstruct_file(Request(scan(), out, RULE, quick_look=look), ZeroFilled())
    assert read(out).shape == (3, *SHAPE) and not look.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_name_says_its_format() -> None:
    names = {f"a.b{ending}": ending for ending in endings()} | {"A.NII.GZ": ".nii.gz", "a": ".h5"}
    for name, ending in names.items():
        assert ending in type(written_as(name)).endings
    for ending in (".dcm", ".nii.xz", ".npy.gz"):
        with pytest.raises(InputError, match=rf"a{ending}: {ending} given; .h5, .*or .png needed"):
            written_as(f"a{ending}")


def test_a_volume_too_long_for_nifti_is_refused() -> None:
    long = Reconstruction(np.zeros((1, 1, 2**15), np.float32), [0], None)
    for ending in (".nii", ".nii.gz"):
        with pytest.raises(InputError, match="1x1x32768 voxels: NIfTI holds at most 32767"):
            written_as(f"a{ending}").room(long)


@pytest.mark.parametrize(
    "out, look, message",
    [
        ("o.npy", "look.jpg", "look.jpg: .jpg given, but a quick look is a picture; .png needed"),
        ("o.npy", "look", "look: no ending given"),
        ("o.png", "o.png", "o.png: is both the output and its quick look"),
    ],
)
def test_a_quick_look_of_no_use_is_refused_before_the_input_is_read(
    shell, monkeypatch, tmp_path, out, look, message
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, (line,) = shell("no.h5", out, "--model", "cg-sense", "--quick-look", look)
    assert status == 2 and message in line
    if out != look:
        with pytest.raises(InputError, match="needed"):
            picture_at(look)


def test_the_shell_writes_both_and_says_so(scan, tmp_path, shell) -> None:
    out, look = tmp_path / "out.nii.gz", tmp_path / "look.png"
    words = ("--model", "cg-sense", "--acceleration", 2, "--quick-look", look)
    status, output, errors = shell(scan(), out, *words)
    assert (status, errors) == (0, [])
    assert f"{out}: 3 slices of 20x22" in output and f"quick look: {look}" in output
    assert read(out).shape == (3, *SHAPE) and drawn(look).size > 10_000


def test_an_input_is_not_replaced_by_its_quick_look(scan, tmp_path) -> None:
    path = scan()
    link = tmp_path / "look.png"
    link.symlink_to(path)
    with pytest.raises(InputError, match=r"look.png: is the input itself"):
        reconstruct_file(Request(path, tmp_path / "o.npy", RULE, quick_look=link), ZeroFilled())


def test_slices_that_did_not_converge_are_drawn_apart(scan, tmp_path) -> None:
    looks = []
    for evaluations in (2, 60):
        look = tmp_path / f"{evaluations}.png"
        request = Request(scan(), tmp_path / "o.npy", RULE, quick_look=look)
        budget = Budget(1e-4, evaluations)
        if evaluations == 2:
            with pytest.warns(UserWarning, match="did not converge"):
                reconstruct_file(request, contracting(), budget)
        else:
            reconstruct_file(request, contracting(), budget)
        colours = np.asarray(Image.open(look).convert("RGB")).reshape(-1, 3)
        looks.append((colours == (0xD5, 0x5E, 0x00)).all(-1).sum())
    assert looks[0] > 30 and looks[1] == 0
