"""What is particular to Cartesian sampling: shapes, batches, selection, and input that cannot be
used.
"""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.signal.coils.coil_maps import simulate_coil_maps
from deqlab.signal.transforms.fourier import fft2c, fftc


def complex_noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128)


def lines(columns: int, share: float = 0.6) -> torch.Tensor:
    return torch.rand(columns) < share


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_full_sampling_with_normalised_maps_is_an_isometry(size: tuple[int, int]) -> None:
    maps = simulate_coil_maps(4, size, seed=0).to(torch.complex128)
    maps = maps / maps.abs().square().sum(0).sqrt()
    A = CartesianOperator(torch.ones(size[1], dtype=torch.bool), maps)
    x = complex_noise(2, *size)
    assert_close(A.normal(x), x)
    assert_close(A(x), fft2c(maps * x.unsqueeze(1)))
    assert_close(A.norm(x), torch.ones(2, dtype=torch.float64))
    undersampled = CartesianOperator(lines(size[1]), maps)
    assert bool((undersampled.norm(x) <= 1 + 1e-12).all())


def test_coil_maps_matter() -> None:
    x, maps = complex_noise(1, 6, 5), complex_noise(2, 6, 5)
    one, other = (
        CartesianOperator(torch.ones(5, dtype=torch.bool), m)(x) for m in (maps, maps.flip(0))
    )
    assert_close(one, other.flip(1))
    assert float((one - other).norm()) > 0.1


def test_nothing_is_measured_off_the_mask() -> None:
    mask = lines(7)
    kspace = CartesianOperator(mask, complex_noise(2, 6, 7))(complex_noise(2, 6, 7))
    assert bool((kspace[..., ~mask] == 0).all()) and bool((kspace[..., mask] != 0).all())


def test_single_coil_keeps_a_coil_axis() -> None:
    A = CartesianOperator(lines(7))
    assert A.coils == 1 and A(complex_noise(2, 6, 7)).shape == (2, 1, 6, 7)
    assert CartesianOperator(lines(7), complex_noise(3, 6, 7)).coils == 3


@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_stack_is_each_slice_for_itself(coils: int, batch: int) -> None:
    maps = [None if coils == 1 else complex_noise(coils, 5, 6) for _ in range(batch)]
    apart = [CartesianOperator(lines(6), m) for m in maps]
    together = CartesianOperator.stack(apart)
    x, y = complex_noise(batch, 5, 6), complex_noise(batch, coils, 5, 6)
    assert_close(together(x), torch.cat([A(x[i : i + 1]) for i, A in enumerate(apart)]))
    assert_close(together.H(y), torch.cat([A.H(y[i : i + 1]) for i, A in enumerate(apart)]))
    assert_close(
        together.normal(x), torch.cat([A.normal(x[i : i + 1]) for i, A in enumerate(apart)])
    )


def test_one_operator_serves_all_precisions_and_row_counts_in_turn() -> None:
    """The factors kept between calls belong to one shape and precision; another call must not get
    them.
    """
    A = CartesianOperator(torch.ones(6, dtype=torch.bool))
    for size in ((4, 6), (5, 6), (4, 6)):
        for dtype in (torch.complex64, torch.complex128):
            x = torch.randn(1, *size, dtype=dtype)
            assert_close(A(x)[:, 0], fft2c(x), rtol=1e-5, atol=1e-5)


def test_the_bound_of_a_volume_is_its_own_largest_sum_over_coils() -> None:
    """Over coils and not over slices, and exact where everything is sampled."""
    maps = complex_noise(2, 3, 4, 5, 6)
    A = CartesianOperator(torch.ones(6, dtype=torch.bool), maps, dimensions=3)
    truth = maps.abs().square().sum(1).amax((1, 2, 3))
    like = complex_noise(2, 4, 5, 6)
    assert_close(A.squared_norm(like), truth.reshape(2, 1, 1, 1))
    assert_close(A.norm(like, 400).square(), truth, rtol=0.02, atol=0)


def test_a_bound_of_zero_is_one() -> None:
    A = CartesianOperator(lines(6), torch.zeros(2, 5, 6, dtype=torch.complex128))
    assert A.squared_norm(complex_noise(3, 5, 6)).flatten().tolist() == [1, 1, 1]


def test_a_fully_sampled_volume_is_transformed_along_all_three_axes() -> None:
    A = CartesianOperator(torch.ones(6, dtype=torch.bool), dimensions=3)
    x = complex_noise(2, 3, 5, 6)
    assert_close(A(x)[:, 0], fftc(x, (-3, -2, -1)))
    assert_close(A.select(torch.tensor([1]))(x[1:]), A(x)[1:])


def test_images_and_volumes_do_not_mix() -> None:
    images, volumes = CartesianOperator(lines(6)), CartesianOperator(lines(6), dimensions=3)
    with pytest.raises(InputError, match="different dimensions"):
        CartesianOperator.stack([images, volumes])
    assert CartesianOperator.stack([volumes, volumes]).dimensions == 3
    with pytest.raises(InputError, match=r"\(z, y, x\)"):
        CartesianOperator(torch.ones(2, 4, 6), complex_noise(3, 3, 4, 6), dimensions=3)
    with pytest.raises(InputError, match="dimensions"):
        CartesianOperator(lines(6), dimensions=4)


def test_composition_reads_from_right_to_left(make_case) -> None:
    A = make_case("coils, lines", (4, 5), 2).A
    B = make_case("own maps", (4, 5), 2).A
    x = complex_noise(2, 4, 5)

    class Back(type(A).__mro__[1]):
        """Coil-wise k-space of B back to an image, so that A can follow."""

        def _forward(self, kspace):
            return B._adjoint(kspace)

        def _adjoint(self, image):
            return B._forward(image)

    chain = A @ Back() @ B
    assert_close(chain(x), A(B.H(B(x))))
    y = complex_noise(2, 3, 4, 5)
    assert_close(chain.H(y), B.H(B(A.H(y))))
    assert_close(chain.normal(x), chain.H(chain(x)))


def test_follows_its_device_and_keeps_its_state() -> None:
    A = CartesianOperator(lines(5), complex_noise(2, 4, 5))
    assert set(A.state_dict()) == {"mask", "coil_maps"}
    A(complex_noise(1, 4, 5))
    meta = A.to("meta")
    assert meta(torch.empty(1, 4, 5, dtype=torch.complex64, device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    "mask, maps, words",
    [
        (torch.ones(5), torch.ones(2, 4, 5), ["coil_maps", "complex"]),
        (torch.ones(6), torch.ones(2, 4, 5, dtype=torch.complex64), ["mask", "(y, x)"]),
        (torch.ones(1, 1, 1, 1, 5), None, ["mask", "5 axes"]),
        (torch.tensor(True), None, ["mask", "0 axes"]),
        (torch.ones(5), torch.ones(1, 1, 2, 4, 5, dtype=torch.complex64), ["coil_maps", "5 axes"]),
    ],
)
def test_what_does_not_fit_is_named(mask, maps, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        CartesianOperator(mask, maps)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_operators_of_other_sizes_cannot_share_a_batch() -> None:
    with pytest.raises(InputError, match="different sizes"):
        CartesianOperator.stack([CartesianOperator(lines(5)), CartesianOperator(lines(6))])
    with pytest.raises(InputError, match="different sizes"):
        CartesianOperator.stack(
            [CartesianOperator(lines(5)), CartesianOperator(lines(5), complex_noise(2, 4, 5))]
        )


@pytest.mark.parametrize("method", ["forward", "H", "normal"])
def test_a_real_image_is_refused_not_truncated(method: str) -> None:
    """Casting complex maps to a real image's type would drop their imaginary part."""
    A = CartesianOperator(lines(5), complex_noise(2, 4, 5))
    with pytest.raises(InputError, match="complex"):
        getattr(A, method)(torch.randn(1, 2, 4, 5) if method == "H" else torch.randn(1, 4, 5))


@pytest.mark.parametrize("size", [(4, 6), (7, 5)])
@pytest.mark.parametrize("method", ["forward", "H", "normal"])
def test_an_image_of_another_size_is_named(method: str, size: tuple[int, int]) -> None:
    A = CartesianOperator(lines(5), complex_noise(2, 4, 5))
    with pytest.raises(InputError, match=f"{size[0]}, {size[1]}"):
        getattr(A, method)(complex_noise(1, 2, *size) if method == "H" else complex_noise(1, *size))


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("cache", [1, 2**20])
def test_lines_and_points_are_the_same_map(
    monkeypatch: pytest.MonkeyPatch, density: float, cache: int
) -> None:
    """However few lines, and whether the coils go one by one or together."""
    monkeypatch.setattr("deqlab.operators.sampled_transforms.CACHE_BYTES", cache)
    mask, maps = torch.arange(10) < 10 * density, complex_noise(3, 6, 10)
    by_lines, by_points = CartesianOperator(mask, maps), CartesianOperator(mask.expand(6, 10), maps)
    image, kspace = complex_noise(2, 6, 10), complex_noise(2, 3, 6, 10)
    torch.testing.assert_close(by_lines(image), by_points(image))
    torch.testing.assert_close(by_lines.H(kspace), by_points.H(kspace))
    torch.testing.assert_close(by_lines.normal(image), by_points.normal(image))
    chosen = type(by_lines._factors(image)[-1]).__name__
    assert chosen == ("LineSampling" if density == 0.3 else "PointSampling")
