"""AUTOMAP: its weights, the one matrix size that it takes, and what it costs."""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, NUFFTOperator
from deqlab.recon import create
from deqlab.recon.direct.automap import AutoMAPOptions, memory, memory_table, parameters
from deqlab.signal.transforms.fourier import ifft2c


def drawn(size: tuple[int, int] = (6, 7)):
    model = create("automap", matrix=size, width=3)
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def test_the_count_is_that_of_the_weights() -> None:
    for matrix, width in (((6, 7), 3), ((9, 4), 64)):
        model = create("automap", matrix=matrix, width=width)
        assert sum(p.numel() for p in model.parameters()) == parameters(matrix, width)
    assert parameters((64, 64)) == pytest.approx(50.4e6, rel=1e-2)
    assert parameters((32, 32)) == pytest.approx(3.3e6, rel=2e-2)


@pytest.mark.parametrize("coils", [1, 8])
def test_units_of_kspace_turn_and_scale_the_image(measure, coils: int) -> None:
    data, model = measure(2, coils, (6, 7)), drawn()
    turn = 3e-6 * torch.exp(torch.tensor(0.7j))
    found = model(data.kspace, data.A)
    assert found.shape == (2, 6, 7)
    torch.testing.assert_close(model(turn * data.kspace, data.A), turn * found)


def test_coils_have_no_order(measure) -> None:
    data, model = measure(1, 3), drawn()
    order = torch.tensor([2, 0, 1])
    turned = CartesianOperator(data.A.mask, data.A.coil_maps[:, order])
    torch.testing.assert_close(model(data.kspace[:, order], turned), model(data.kspace, data.A))


@pytest.mark.parametrize("coils", [1, 3])
def test_a_network_that_has_learned_the_fourier_transform_is_exact(measure, coils: int) -> None:
    """The imaginary part is the real part of -i times the image, and coils are combined by maps."""
    maps = measure(2, coils).A.coil_maps
    A = CartesianOperator(torch.ones(7, dtype=torch.bool), maps)
    image, model = torch.randn(2, 6, 7, dtype=torch.complex128), drawn()
    model._real_part = lambda kspace: ifft2c(kspace).real
    torch.testing.assert_close(model(A(image), A), image)


@pytest.mark.parametrize("coils", [1, 3])
def test_every_weight_takes_part_and_nothing_gives_something_finite(measure, coils: int) -> None:
    data, model = measure(2, coils), drawn()
    model(data.kspace, data.A).abs().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    assert torch.isfinite(model(0 * data.kspace, data.A)).all()


def test_another_matrix_is_refused(measure) -> None:
    data = measure(1, 2, (7, 6))
    with pytest.raises(InputError, match="AutoMAP: made for a matrix of 6x7, 7x6 given") as error:
        drawn()(data.kspace, data.A)
    assert "\n" not in str(error.value)
    A = NUFFTOperator(torch.rand(20, 2, dtype=torch.float64) - 0.5, (8, 8))
    with pytest.raises(InputError, match="AutoMAP: takes samples of a Cartesian grid; NUFFT"):
        drawn()(torch.randn(1, 1, 20, dtype=torch.complex64), A)


def test_what_does_not_fit_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(InputError, match="matrix: 320x320 given, which takes 503 GB") as error:
        create("automap", matrix=(320, 320))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="gigabytes above 0.01"):
        AutoMAPOptions(gigabytes=0.01)
    assert AutoMAPOptions(matrix=(128, 128), gigabytes=13).gigabytes == 13


def test_the_table_tells_why_it_does_not_scale() -> None:
    rows = memory_table((32, 64, 128)).splitlines()[2:]
    assert [row.split("|")[2].strip() for row in rows] == ["3.3 M", "50.4 M", "805.4 M"]
    assert memory((64, 64)) == pytest.approx(16 * memory((32, 32)), rel=0.04)
