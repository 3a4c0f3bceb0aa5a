"""A file of each format, written by its own library, says what that library says of it; and real
files, where a folder of them is named.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import ismrmrd
import nibabel
import numpy as np
import pytest
from scipy.io import savemat

from deqlab.app.convert_file import convert_file
from deqlab.core.errors import InputError
from deqlab.data import open_volume
from deqlab.data.formats.registry import open_stated

REAL = os.environ.get("DEQLAB_REAL_DATA")


def samples(*shape: int) -> np.ndarray:
    """k-space of noise with a strong echo in its middle, complex64."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((*shape, 2)) @ (1, 1j)).astype(np.complex64)
    values[..., shape[-2] // 2, shape[-1] // 2] += 60
    return values


def same(path: Path, expected: np.ndarray, **told: object) -> None:
    """The file, and what it is converted to, hold `expected`, (slices, coils, rows, columns)."""
    out = path.with_name("converted.h5")
    convert_file(path, out, told=told)
    for volume in (open_volume(path, told=told), open_volume(out)):
        found = np.stack([volume.kspace(index) for index in range(volume.slices)])
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_numpy(tmp_path: Path) -> None:
    data = samples(2, 3, 16, 20)
    np.save(tmp_path / "a.npy", data.transpose(1, 0, 3, 2))
    same(tmp_path / "a.npy", data, axes="coil,slice,x,y")
    np.savez_compressed(tmp_path / "b.npz", other=np.ones(2), kspace=data)
    same(tmp_path / "b.npz", data)


def test_bart(tmp_path: Path) -> None:
    data = samples(1, 3, 16, 20)
    (tmp_path / "k.hdr").write_text("# Dimensions\n16 20 1 3 1 1\n")
    data[0].transpose(1, 2, 0).flatten("F").tofile(tmp_path / "k.cfl")
    same(tmp_path / "k.cfl", data)
    (tmp_path / "k.hdr").write_text("# Dimensions\n16 20 1 4 1 1\n")
    with pytest.raises(InputError, match=r"k.cfl: 7680 bytes, but k.hdr says .* 10240 bytes"):
        open_volume(tmp_path / "k.cfl")


def test_matlab_5_and_7_3(tmp_path: Path) -> None:
    data = samples(2, 3, 16, 20)
    savemat(tmp_path / "v5.mat", {"kspace_full": data.transpose(2, 3, 1, 0)})
    same(tmp_path / "v5.mat", data, preset="cmrxrecon")
    with pytest.raises(InputError, match=r"no variable `kspace`.*kspace_full \(16x20x3x2\)"):
        open_volume(tmp_path / "v5.mat", told={"variable": "kspace"})
    parts = np.empty((2, 3, 20, 16), [("real", "f4"), ("imag", "f4")])
    parts["real"], parts["imag"] = data.swapaxes(2, 3).real, data.swapaxes(2, 3).imag
    with h5py.File(tmp_path / "v73.mat", "w", userblock_size=512) as file:
        file["kspace_sub04"] = parts
    with (tmp_path / "v73.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    same(tmp_path / "v73.mat", data, preset="cmrxrecon")


def test_ismrmrd(tmp_path: Path) -> None:
    data, path = samples(2, 3, 32, 20), tmp_path / "raw.h5"
    space = "<matrixSize><x>32</x><y>20</y><z>1</z></matrixSize><fieldOfView_mm><x>{}</x>"
    space += "<y>200</y><z>5</z></fieldOfView_mm>"
    header = '<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>'
    header += f"<encodedSpace>{space.format(320)}</encodedSpace>"
    header += f"<reconSpace>{space.format(320)}</reconSpace><trajectory>cartesian</trajectory>"
    header += "<encodingLimits><kspace_encoding_step_1><minimum>0</minimum><maximum>19</maximum>"
    header += "<center>10</center></kspace_encoding_step_1></encodingLimits></encoding>"
    header += "</ismrmrdHeader>"
    file = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    file.write_xml_header(header.encode())
    for average in (-1, 1):
        for number in range(2):
            for line in range(20):
                readout = ismrmrd.Acquisition.from_array(
                    np.ascontiguousarray(data[number, :, :, line] + average)
                )
                readout.idx.kspace_encode_step_1, readout.idx.slice = line, number
                readout.idx.average, readout.center_sample = max(average, 0), 16
                file.append_acquisition(readout)
    file.close()
    same(path, data)
    assert "2 averages are averaged" in open_stated(path).notes


def test_data_sets_of_others(tmp_path: Path) -> None:
    data = samples(4, 3, 16, 20)
    with h5py.File(tmp_path / "skm.h5", "w") as file:
        file["kspace"] = data.reshape(2, 2, 3, 16, 20).transpose(0, 3, 4, 1, 2)
    same(tmp_path / "skm.h5", data)
    images = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(data, (2, 3))), (2, 3))
    plain = np.fft.fft2(images).transpose(0, 2, 3, 1)
    with h5py.File(tmp_path / "calgary.h5", "w") as file:
        file["kspace"] = np.stack([plain.real, plain.imag], -1).reshape(4, 16, 20, 6)
    same(tmp_path / "calgary.h5", data)


def test_magnitudes_are_called_emulated(tmp_path: Path) -> None:
    image = np.abs(samples(3, 16, 20)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image.transpose(2, 1, 0), np.eye(4)), tmp_path / "a.nii.gz")
    convert_file(tmp_path / "a.nii.gz", tmp_path / "b.h5")
    for name in ("a.nii.gz", "b.h5"):
        volume = open_volume(tmp_path / name)
        assert "Fourier transform of the images" in volume.emulated
        np.testing.assert_allclose(volume.target(1), image[1], atol=1e-4)
    np.save(tmp_path / "m.npy", image)
    with pytest.raises(InputError, match="m.npy: array is float32; k-space is complex"):
        open_volume(tmp_path / "m.npy")


@pytest.mark.parametrize(
    ("axes", "told"),
    [
        ("coil,y", "names 2 axes, the array has 3"),
        ("coil,y,why", "'why' given"),
        ("coil,y,y", "names y twice"),
    ],
)
def test_axes_that_do_not_fit_are_told(tmp_path: Path, axes: str, told: str) -> None:
    np.save(tmp_path / "a.npy", samples(3, 16, 20))
    with pytest.raises(InputError, match=told):
        open_volume(tmp_path / "a.npy", told={"axes": axes})


def test_a_truncated_array_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", samples(3, 16, 20))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-8])
    with pytest.raises(InputError, match="truncated"):
        open_volume(tmp_path / "a.npy")


@pytest.mark.skipif(REAL is None, reason="DEQLAB_REAL_DATA names no folder of real files")
@pytest.mark.parametrize(
    ("name", "shape", "told"),
    [
        ("bottle_pulseq_16ch.dat", (1, 16, 128, 128), {}),
        ("phantom_twix_gre_2ch.dat", (1, 2, 160, 160), {}),
        ("head_t1_sagittal_1ch.mat", (1, 1, 256, 256), {}),
        ("sigpy_brain_8ch_masked_ksp.npy", (1, 8, 230, 180), {}),
        (
            "phantom_radial_33spokes_17ch_3orientations.npy",
            (3, 17, 33 * 256),
            {"axes": "orientation,spoke,coil,sample", "spokes": "circle-reversed", "matrix": 128},
        ),
    ],
)
def test_real_files(name: str, shape: tuple[int, ...], told: dict[str, object]) -> None:
    assert open_volume(Path(REAL or "") / name, told=told).shape == shape
