"""The wavelet transform: an orthogonal matrix for every size, PyWavelets' own coefficients on even
ones, and its shrinkage a proximal operator.
"""

from __future__ import annotations

import pytest
import pywt
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.signal.transforms.wavelets import Wavelet, join, names, split, split_matrix

# Lines from 192 samples on are split in blocks, shorter ones by one matrix.
SIZES = [(8, 8), (6, 7), (5, 5), (37, 50), (2, 3), (33, 64), (192, 20), (11, 225), (256, 194)]
BASES = ["haar", "db4", "sym8", "coif2"]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", names())
def test_every_split_is_an_orthogonal_matrix(name: str) -> None:
    for length in (2, 3, 20, 33):
        matrix = split_matrix(name, length, torch.float64, torch.device("cpu"))
        assert_close(matrix @ matrix.mT, torch.eye(length, dtype=torch.float64), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(
    "batch, dtype", [(1, torch.complex128), (3, torch.float64), (5, torch.complex128)]
)
def test_adjoint_and_inverse(
    name: str, size: tuple[int, int], batch: int, dtype: torch.dtype
) -> None:
    """<W x, c> = <x, W^H c>, W^H W = I and W W^H = I: W is unitary."""
    W, x, c = (
        Wavelet(name),
        torch.randn(batch, *size, dtype=dtype),
        torch.randn(batch, *size, dtype=dtype),
    )
    assert W.forward(x).dtype == dtype and W.forward(x).shape == x.shape
    assert_close(
        (W.forward(x).conj() * c).sum((-2, -1)),
        (x.conj() * W.adjoint(c)).sum((-2, -1)),
        rtol=0,
        atol=1e-11,
    )
    assert_close(W.adjoint(W.forward(x)), x, rtol=0, atol=1e-12)
    assert_close(W.forward(W.adjoint(c)), c, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("ignore:Level value")
@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize(
    "size, levels", [((16, 16), 1), ((32, 48), 3), ((64, 16), 2), ((256, 200), 3)]
)
def test_coefficients_are_those_of_pywavelets(
    name: str, size: tuple[int, int], levels: int
) -> None:
    """Its mode "periodization", which is orthonormal on even lengths, in the pyramid of
    `coeffs_to_array`.
    """
    x = torch.randn(*size, dtype=torch.complex128)
    pyramid = pywt.wavedec2(x.numpy(), name, mode="periodization", level=levels)
    expected, _ = pywt.coeffs_to_array(pyramid)
    assert_close(Wavelet(name, levels).forward(x), torch.from_numpy(expected), rtol=0, atol=1e-11)


@pytest.mark.parametrize("length", [192, 200, 225, 372, 641])
@pytest.mark.parametrize("name", [*BASES, "db20"])
def test_blocks_of_a_long_line_are_its_matrix(name: str, length: int) -> None:
    lines = torch.randn(length, 3, dtype=torch.float64)
    matrix = split_matrix(name, length, torch.float64, torch.device("cpu"))
    assert_close(torch.cat(split(lines, name)), matrix @ lines, rtol=0, atol=1e-12)
    assert_close(join(lines, name), matrix.mT @ lines, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size, levels", [((9, 14), 2), ((192, 20), 3)])
def test_gradients(size: tuple[int, int], levels: int) -> None:
    """The gradient of Re<c, W x> is W^H c, and that of Re<c, W^H x> is W c; shrinking is
    differentiable.
    """
    W = Wavelet("db2", levels)
    x, c = (
        torch.randn(2, *size, dtype=torch.complex128, requires_grad=True),
        torch.randn(2, *size, dtype=torch.complex128),
    )
    for map_, other in ((W.forward, W.adjoint), (W.adjoint, W.forward)):
        assert_close(
            torch.autograd.grad((c.conj() * map_(x)).real.sum(), x)[0], other(c), rtol=0, atol=1e-11
        )
    if size == (9, 14):
        assert torch.autograd.gradcheck(lambda x: W.shrink(x, 0.1), x)


def test_one_step_of_haar_by_hand() -> None:
    image = torch.tensor([[1.0, 3.0], [5.0, 11.0]])
    assert_close(Wavelet("haar", 1).forward(image), torch.tensor([[10.0, -4.0], [-6.0, 2.0]]))


@pytest.mark.parametrize("name, degree", [("haar", 0), ("db2", 1), ("db4", 3), ("sym8", 7)])
def test_vanishing_moments(name: str, degree: int) -> None:
    """A wavelet of n moments sees no polynomial below degree n, but where the line is wrapped
    round, and sees degree n.
    """
    length = 64
    high = split_matrix(name, length, torch.float64, torch.device("cpu"))[length // 2 :]
    inside = slice(len(high) // 4, 3 * len(high) // 4)
    t = torch.linspace(-1, 1, length, dtype=torch.float64)
    assert float((high @ t**degree)[inside].abs().max()) < 1e-9
    assert float((high @ t ** (degree + 1))[inside].abs().max()) > 1e-11


def test_an_odd_line_passes_its_last_sample_on() -> None:
    x = torch.zeros(7, 8)
    x[-1] = 1
    c = Wavelet("haar", 1).forward(x)
    assert_close(c[3, :4], torch.full((4,), 2**0.5)) and float(c[:3].abs().max()) == float(
        c[4:].abs().max()
    ) == 0


def test_single_precision() -> None:
    x = torch.randn(2, 40, 50, dtype=torch.complex64)
    W = Wavelet()
    assert W.forward(x).dtype == torch.complex64
    assert_close(
        W.forward(x), W.forward(x.to(torch.complex128)).to(torch.complex64), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("dtype", [torch.complex128, torch.float64])
@pytest.mark.parametrize("size", [(16, 16), (9, 14)])
def test_shrink_is_the_proximal_operator(dtype: torch.dtype, size: tuple[int, int]) -> None:
    """z = shrink(x) minimises 1/2 ||z - x||^2 + t ||W z||_1: the residual's coefficients are a
    subgradient, t times a phase or shorter.
    """
    W, x, t = Wavelet("db2", 2), torch.randn(3, *size, dtype=dtype), 0.8
    z = W.shrink(x, t)
    c, slope = W.forward(z), W.forward(x - z) / t
    there = c.abs() > 1e-9
    assert 0 < int(there.sum()) < there.numel()
    assert_close(slope[there], (c / c.abs().clamp_min(1e-300))[there], rtol=0, atol=1e-9)
    assert bool((slope.abs()[~there] <= 1 + 1e-9).all())


def test_shrink_takes_a_threshold_for_each_sample() -> None:
    x, W = torch.randn(3, 8, 8, dtype=torch.complex128), Wavelet("haar")
    thresholds = torch.tensor([0.0, 0.5, 1e3], dtype=torch.float64).reshape(3, 1, 1)
    z = W.shrink(x, thresholds)
    assert_close(z[0], x[0]) and bool((z[2] == 0).all())
    assert_close(z[1], W.shrink(x[1:2], 0.5)[0])


def test_zero_shrinks_to_zero() -> None:
    assert torch.equal(
        Wavelet().shrink(torch.zeros(1, 8, 8, dtype=torch.complex64), 0.0),
        torch.zeros(1, 8, 8, dtype=torch.complex64),
    )


@pytest.mark.parametrize("shape, sizes", [((256, 256), 5), ((6, 7), 1), ((320, 40), 2)])
def test_levels_follow_the_shorter_side(shape: tuple[int, int], sizes: int) -> None:
    found = Wavelet("db4").sizes(shape)
    assert len(found) == sizes and found[0] == shape
    assert len(Wavelet("db4", 2).sizes((9, 11))) == 2 and Wavelet("db4", 2).sizes((9, 11))[1] == (
        5,
        6,
    )


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Wavelet("dbb4"), ["wavelet", "'dbb4'", "did you mean db4?"]),
        (lambda: Wavelet("bior4.4"), ["wavelet", "orthogonal"]),
        (lambda: Wavelet("db4", 0), ["levels: 0", "a whole number >= 1"]),
        (
            lambda: Wavelet("db4", 4).forward(torch.zeros(1, 8, 64)),
            ["levels: 4", "8x64", "3 times at most"],
        ),
    ],
)
def test_what_cannot_be_is_named(make, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)
