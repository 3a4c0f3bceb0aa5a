"""What is particular to samples off the grid: accuracy against the exact sums, conventions,
weights, batches, and input that cannot be used.
"""

from __future__ import annotations

import copy
import math
import pickle

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NDFTOperator, NUFFTOperator
from deqlab.operators.toeplitz import convolve, toeplitz_spectrum
from deqlab.signal.transforms.fourier import fft2c


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def points(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, dtype=torch.float64) - 0.5


def gap(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).norm() / truth.norm())


@pytest.mark.parametrize("shape", [(34, 29), (12, 9, 14)])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9, 1e-12])
def test_within_its_tolerance_of_the_exact_sum(shape: tuple[int, ...], tolerance: float) -> None:
    trajectory, maps = points(700, len(shape)), complex_noise(2, *shape)
    A, exact = (
        NUFFTOperator(trajectory, shape, maps, tolerance),
        NDFTOperator(trajectory, shape, maps),
    )
    x, y = complex_noise(1, *shape), complex_noise(1, 2, 700)
    # finufft promises the order of magnitude; the normal operator has two transforms in it.
    assert gap(A(x), exact(x)) <= 2 * tolerance
    assert gap(A.H(y), exact.H(y)) <= 2 * tolerance
    assert gap(A.normal(x), exact.normal(x)) <= 4 * tolerance
    # Adjoint to rounding, however coarse.
    left, right = (y.conj() * A(x)).sum(), (A.H(y).conj() * x).sum()
    assert abs(left - right) <= 1e-13 * x.norm() * y.norm()


def test_single_precision_images_do_not_cost_the_tolerance() -> None:
    """Positions in single precision would: at 256 pixels they cost 1e-5."""
    shape, trajectory = (256, 256), points(300, 2)
    x = torch.randn(1, *shape, dtype=torch.complex64)
    truth = NDFTOperator(trajectory, shape)(x.to(torch.complex128))
    fine, coarse = (
        NUFFTOperator(trajectory, shape, tolerance=tolerance)(x) for tolerance in (1e-6, 1e-4)
    )
    assert fine.dtype == coarse.dtype == torch.complex64
    assert gap(fine, truth) <= 1.5e-6 and gap(coarse, truth) <= 1.5e-4


@pytest.mark.parametrize("kind", [NUFFTOperator, NDFTOperator])
@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_on_the_grid_it_is_the_centred_transform(kind: type, size: tuple[int, int]) -> None:
    axes = [(torch.arange(n, dtype=torch.float64) - n // 2) / n for n in size]
    A = kind(torch.cartesian_prod(*axes), size)
    x = complex_noise(2, *size)
    assert_close(A(x).reshape(2, *size), fft2c(x), rtol=0, atol=1e-5)
    assert_close(A.H(A(x)), x, rtol=0, atol=1e-5)


def test_columns_are_in_the_order_of_the_image_axes() -> None:
    """A wave along y has its energy at ky."""
    rows, columns = 12, 10
    wave = torch.exp(2j * torch.pi * 3 / rows * torch.arange(rows, dtype=torch.float64))[
        :, None
    ].expand(rows, columns)
    at_y, at_x = torch.tensor([[3 / rows, 0.0]]), torch.tensor([[0.0, 3 / rows]])
    found = NUFFTOperator(torch.cat((at_y, at_x)).double(), (rows, columns))(wave[None])[0, 0].abs()
    assert_close(
        found[0], torch.tensor(math.sqrt(rows * columns), dtype=torch.float64), rtol=1e-5, atol=0
    )
    assert float(found[1]) < 1e-4


def test_a_volume_of_one_plane_is_its_plane() -> None:
    trajectory, x = points(40, 2), complex_noise(2, 9, 8)
    volume = NUFFTOperator(torch.cat((points(40, 1), trajectory), dim=1), (1, 9, 8))
    assert gap(volume(x.unsqueeze(1)), NUFFTOperator(trajectory, (9, 8))(x)) < 1e-5


def test_weights_are_those_of_least_squares_and_leave_the_operator_alone() -> None:
    trajectory, maps, weights = (
        points(50, 2),
        complex_noise(3, 6, 7),
        torch.rand(50, dtype=torch.float64),
    )
    A = NUFFTOperator(trajectory, (6, 7), maps, 1e-10)
    x, y = complex_noise(2, 6, 7), complex_noise(2, 3, 50)
    before = A.normal(x)
    B = A.weighted(weights)
    assert_close(B.normal(x), A.H(weights * A(x)), rtol=0, atol=1e-7)
    assert_close(B.H(B.weigh(y)), A.H(weights * y), rtol=0, atol=1e-7)
    assert_close(B.weighted(weights)(x), weights * A(x), rtol=0, atol=1e-7)
    assert torch.equal(A.normal(x), before) and A.weights is None and A.weigh(y) is y


def test_convolution_is_the_sum_over_pixel_differences() -> None:
    trajectory, shape, weights = points(11, 2), (3, 4), torch.rand(11, dtype=torch.float64)
    F = NDFTOperator(trajectory, shape, weights=weights)
    x = complex_noise(2, *shape)
    spectrum = toeplitz_spectrum(trajectory, shape, 1e-13, weights)
    assert spectrum.shape == (6, 8) and spectrum.dtype == torch.float64
    assert_close(convolve(x, spectrum) / 12, F.normal(x), rtol=0, atol=1e-11)


OWN = ("trajectory", "coil_maps", "weights")


def parts(batch: int, own: tuple[str, ...]) -> dict:
    given = {
        "trajectory": points(batch, 21, 2),
        "coil_maps": complex_noise(batch, 3, 5, 6),
        "weights": torch.rand(batch, 21),
    }
    return {name: part if name in own else part[0] for name, part in given.items()}


@pytest.mark.parametrize("kind", [NUFFTOperator, NDFTOperator])
@pytest.mark.parametrize("own", [(), *((name,) for name in OWN), OWN])
@pytest.mark.parametrize("index", [[0], [2, 0], [1, 1, 2]])
def test_select_is_the_operator_of_some_members(
    kind: type, own: tuple[str, ...], index: list[int]
) -> None:
    A = kind(shape=(5, 6), **parts(3, own))
    chosen = torch.tensor(index)
    x, y = complex_noise(3, 5, 6), complex_noise(3, 3, 21)
    part = A.select(chosen)
    assert_close(part(x[chosen]), A(x)[chosen])
    assert_close(part.H(y[chosen]), A.H(y)[chosen])
    assert_close(part.normal(x[chosen]), A.normal(x)[chosen])


@pytest.mark.parametrize("own", [(), ("coil_maps",), OWN])
def test_stack_is_each_slice_for_itself(own: tuple[str, ...]) -> None:
    given = parts(3, own)
    apart = [
        NUFFTOperator(shape=(5, 6), **{n: p[i] if n in own else p for n, p in given.items()})
        for i in range(3)
    ]
    together = NUFFTOperator.stack(apart)
    assert len(together.trajectory) == (3 if "trajectory" in own else 1)
    x, y = complex_noise(3, 5, 6), complex_noise(3, 3, 21)
    assert_close(together(x), torch.cat([A(x[i : i + 1]) for i, A in enumerate(apart)]))
    assert_close(together.H(y), torch.cat([A.H(y[i : i + 1]) for i, A in enumerate(apart)]))
    assert_close(
        together.normal(x), torch.cat([A.normal(x[i : i + 1]) for i, A in enumerate(apart)])
    )


def test_what_one_slice_has_planned_serves_the_batch() -> None:
    """Plans and spectra are kept, as `select` keeps them: a new batch of known slices costs no new
    ones.
    """
    same = points(21, 2)
    for apart in (
        [NUFFTOperator(same, (5, 6)) for _ in range(2)],
        [NUFFTOperator(points(21, 2), (5, 6)) for _ in range(2)],
    ):
        for A in apart:
            A.normal(complex_noise(1, 5, 6))
        together = NUFFTOperator.stack(apart)
        assert together._plans[0] is apart[0]._plans[0]
        assert together._spectra[-1] is apart[len(together._spectra) - 1]._spectra[0]


def test_operators_that_differ_cannot_share_a_batch() -> None:
    A = NUFFTOperator(points(9, 2), (5, 6))
    for other in (
        NUFFTOperator(points(8, 2), (5, 6)),
        NUFFTOperator(points(9, 2), (6, 5)),
        A.weighted(torch.rand(9)),
    ):
        with pytest.raises(InputError, match="operators with different (sizes of|shape)"):
            NUFFTOperator.stack([A, other])


def test_composition_with_an_operator_on_images() -> None:
    trajectory, A = points(30, 2), CartesianOperator(torch.ones(6, dtype=torch.bool))

    class Twice(type(A).__mro__[1]):
        def _forward(self, image):
            return 2 * image

        _adjoint = _forward

    F = NUFFTOperator(trajectory, (5, 6))
    x = complex_noise(2, 5, 6)
    chain = F @ Twice()
    assert_close(chain(x), 2 * F(x))
    assert_close(chain.normal(x), 4 * F.normal(x))


def test_copies_and_precisions() -> None:
    """Plans cannot be copied, so copies make their own; casting a module to single precision must
    not cut positions.
    """
    A = NUFFTOperator(points(30, 2), (5, 6), complex_noise(2, 5, 6), 1e-12)
    x = complex_noise(1, 5, 6)
    truth, normal = A(x), A.normal(x)
    for other in (copy.deepcopy(A), pickle.loads(pickle.dumps(A))):
        assert torch.equal(other(x), truth) and torch.equal(other.normal(x), normal)
    with pytest.warns(UserWarning):
        A.to(torch.complex64)
    assert A.trajectory.dtype == torch.float64 and gap(A(x), truth) < 1e-7
    assert A(x.to(torch.complex64)).dtype == torch.complex64
    assert set(A.state_dict()) == {"trajectory", "coil_maps"}


def test_a_lazily_conjugated_or_strided_tensor_is_what_it_says() -> None:
    A = NUFFTOperator(points(12, 2), (5, 5), tolerance=1e-10)
    x, y = complex_noise(2, 5, 5), complex_noise(12, 1, 2)
    assert torch.equal(A(x.mT.conj()), A(x.mT.conj().resolve_conj().contiguous()))
    assert torch.equal(
        A.H(y.movedim(0, -1).movedim(1, 0).conj()),
        A.H(y.movedim(0, -1).movedim(1, 0).conj().resolve_conj().contiguous()),
    )


NAN = points(9, 2)
NAN[3, 1] = math.nan


@pytest.mark.parametrize("kind", [NUFFTOperator, NDFTOperator])
@pytest.mark.parametrize(
    "trajectory, options, words",
    [
        (points(9, 2) + 0.6, {}, ["trajectory", "0.5", "cycles per pixel"]),
        (NAN, {}, ["trajectory", "NaN", "1 coordinates"]),
        (points(9, 3), {}, ["trajectory", "(9, 3)", "(ky, kx)"]),
        (points(9, 2), {"shape": (3, 5, 6)}, ["trajectory", "(kz, ky, kx)"]),
        (points(9), {}, ["trajectory", "(9,)"]),
        (points(0, 2), {}, ["trajectory", "one sample or more"]),
        (points(9, 2).to(torch.complex64), {}, ["trajectory", "complex64"]),
        (points(9, 2), {"shape": (0, 6)}, ["shape", "(0, 6)"]),
        (points(9, 2), {"shape": (6,)}, ["shape", "(y, x)"]),
        (
            points(9, 2),
            {"coil_maps": complex_noise(3, 6, 5)},
            ["coil_maps", "(3, 6, 5)", "(coil, 5, 6)"],
        ),
        (points(9, 2), {"coil_maps": torch.ones(3, 5, 6)}, ["coil_maps", "complex"]),
        (
            points(2, 9, 2),
            {"coil_maps": complex_noise(3, 2, 5, 6)},
            ["trajectory for 2", "coil_maps for 3"],
        ),
        (points(9, 2), {"weights": torch.ones(8)}, ["weights", "(8,)", "(9,)"]),
        (points(9, 2), {"weights": -torch.ones(9)}, ["weights", "negative"]),
    ],
)
def test_what_does_not_fit_is_named(
    kind: type, trajectory: torch.Tensor, options: dict, words: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        kind(trajectory, **{"shape": (5, 6), **options})
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


@pytest.mark.parametrize("tolerance", [0.0, 1.0, math.nan])
def test_a_tolerance_that_none_can_keep_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match="tolerance"):
        NUFFTOperator(points(9, 2), (5, 6), tolerance=tolerance)


@pytest.mark.parametrize(
    "method, tensor, words",
    [
        ("forward", torch.randn(2, 5, 6), "complex"),
        ("forward", complex_noise(2, 6, 5), "batch, 5, 6"),
        ("normal", complex_noise(5, 6), "batch, 5, 6"),
        ("H", complex_noise(2, 3, 8), "batch, 3, 9"),
        ("H", complex_noise(2, 9), "batch, 3, 9"),
        ("forward", complex_noise(3, 5, 6), "batch of 3"),
    ],
)
def test_tensors_of_other_sizes_are_named(method: str, tensor: torch.Tensor, words: str) -> None:
    A = NUFFTOperator(points(2, 9, 2), (5, 6), complex_noise(3, 5, 6))
    with pytest.raises(InputError, match=words):
        getattr(A, method)(tensor)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype, tolerance", [(torch.complex64, 1e-4), (torch.complex128, 1e-9)])
def test_on_a_gpu_it_is_what_it_is_on_the_cpu(dtype: torch.dtype, tolerance: float) -> None:
    A = NUFFTOperator(points(200, 2), (20, 18), complex_noise(3, 20, 18), tolerance)
    x, y = complex_noise(2, 20, 18).to(dtype), complex_noise(2, 3, 200).to(dtype)
    truth = A(x), A.H(y), A.normal(x)
    A.cuda()
    for found, right in zip((A(x.cuda()), A.H(y.cuda()), A.normal(x.cuda())), truth):
        assert found.is_cuda and gap(found.cpu(), right) < 10 * tolerance
