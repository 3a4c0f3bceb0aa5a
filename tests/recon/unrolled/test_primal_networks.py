"""XPDNet and NC-PDNet: the published sizes, and the laws of a scanner's units on and off the grid,
in two and in three dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator, LinearOperator, NUFFTOperator
from deqlab.recon import create
from deqlab.recon.unrolled.base import Measured
from deqlab.recon.unrolled.xpdnet import with_gradient
from deqlab.signal.sampling.trajectories import Radial, RadialVolume, Spiral

NETWORK = {"name": "multi-scale", "widths": (3, 4)}
REFINE = {"name": "coil-unet", "widths": (2, 3)}
SMALL = {
    "xpdnet": {"iterations": 2, "primal": 2, "network": NETWORK, "refine": REFINE},
    "ncpdnet": {"iterations": 2, "primal": 2, "width": 4, "refine": REFINE},
    "ncpdnet-none": {"iterations": 2, "primal": 2, "width": 4, "density": "none"},
    "ncpdnet-3d": {"iterations": 2, "primal": 2, "width": 4, "dimensions": 3, "refine": REFINE},
}
PLANE = {
    "lines 20x34": lambda maps: CartesianOperator(torch.arange(34) % 3 == 1, maps),
    "radial": lambda maps: NUFFTOperator(Radial(7, 24).sample((12, 13)), (12, 13), maps),
    "spiral": lambda maps: NUFFTOperator(Spiral(2).sample((12, 10)), (12, 10), maps),
}
SOLID = {
    "volume": lambda maps: NUFFTOperator(RadialVolume(30, 12).sample((5, 6, 7)), (5, 6, 7), maps),
    "grid": lambda maps: CartesianOperator(torch.rand(5, 1, 7) < 0.5, maps, 3),
}
SIZES = {"lines 20x34": (20, 34), "radial": (12, 13), "spiral": (12, 10)}
SIZES |= {"volume": (5, 6, 7), "grid": (5, 6, 7)}
CASES = [
    (name, kind, coils)
    for name in SMALL
    for kind in (SOLID if name.endswith("3d") else PLANE)
    for coils in (1, 8)
]
each = pytest.mark.parametrize(("name", "kind", "coils"), CASES)


@dataclass
class Scan:
    """k-space of two members, and its operator."""

    kspace: Tensor
    A: LinearOperator


def scan(kind: str, coils: int, dtype: torch.dtype = torch.complex128) -> Scan:
    size = SIZES[kind]
    maps = torch.randn(2, coils, *size, dtype=dtype)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    A = {**PLANE, **SOLID}[kind](maps)
    return Scan(A(torch.randn(2, *size, dtype=dtype)), A)


def drawn(name: str) -> nn.Module:
    """A small model whose weights are none of those it starts from."""
    model = create(name.removesuffix("-none").removesuffix("-3d"), **SMALL[name])
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return model.double()


def test_the_defaults_have_the_published_sizes() -> None:
    """0.16 M parameters, and 0.07 M in three dimensions."""

    def count(**options: object) -> int:
        return sum(p.numel() for p in create("ncpdnet", **options).parameters())

    assert count() == 156_260
    assert count(iterations=6, primal=2, width=16, dimensions=3) == 67_608


@each
def test_units_of_kspace_turn_and_scale_the_image(name: str, kind: str, coils: int) -> None:
    data, model = scan(kind, coils), drawn(name)
    turn = 3e-6 * torch.exp(torch.tensor(0.7j))
    with torch.no_grad():
        found = model(data.kspace, data.A)
        assert found.shape == (2, *SIZES[kind])
        again = model(turn * data.kspace, data.A)
    torch.testing.assert_close(again, turn * found, rtol=1e-4, atol=1e-4 * float(again.abs().max()))


@each
def test_every_weight_changes_in_a_step(name: str, kind: str, coils: int) -> None:
    data, model = scan(kind, coils), drawn(name)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(data.kspace, data.A).abs().square().sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    optimizer.step()
    assert all((p != old).any() for p, old in zip(model.parameters(), before))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k, coils in CASES if coils == 8])
def test_the_order_of_coils_does_not_matter(name: str, kind: str) -> None:
    data, model = scan(kind, 8), drawn(name)
    order = torch.tensor([2, 0, 1, 7, 5, 6, 3, 4])
    other = data.A.with_maps(data.A.coil_maps[:, order])
    with torch.no_grad():
        found, turned = model(data.kspace, data.A), model(data.kspace[:, order], other)
    torch.testing.assert_close(turned, found, rtol=1e-5, atol=1e-5 * float(found.abs().max()))


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k, coils in CASES if coils == 1])
def test_nothing_measured_gives_nothing(name: str, kind: str) -> None:
    data = scan(kind, 1)
    found = drawn(name)(0 * data.kspace, data.A)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("name", ["xpdnet", "ncpdnet"])
def test_an_odd_size_and_a_single_coil_without_a_map(measure, name: str) -> None:
    data = measure(1, 1, (95, 127), torch.complex64)
    model = drawn(name).float()
    image = model(data.kspace, data.A)
    image.abs().sum().backward()
    assert image.shape == (1, 95, 127) and torch.isfinite(image).all()


def test_a_step_sees_the_gradient_of_the_misfit() -> None:
    data = scan("radial", 3)
    truth, noise = (torch.randn(2, 2, 12, 13, dtype=torch.complex128) for _ in range(2))
    measured = Measured(data.A(truth[:, 0]), data.A, truth[:, 0])
    assert with_gradient(truth, measured)[:, 2].abs().max() < 1e-10
    found = with_gradient(noise, measured)
    assert torch.equal(found[:, :2], noise)
    wanted = data.A.H(data.A(noise[:, 0]) - measured.kspace)
    torch.testing.assert_close(found[:, 2], wanted)


def test_refined_maps_are_what_the_steps_see() -> None:
    data, model = scan("lines 20x34", 3), drawn("xpdnet")
    other = data.A.with_maps(model.refiner(data.A.coil_maps).detach())
    plain = create("xpdnet", **(SMALL["xpdnet"] | {"refine": None})).double()
    plain.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        torch.testing.assert_close(model(data.kspace, data.A), plain(data.kspace, other))
        assert not torch.allclose(plain(data.kspace, data.A), plain(data.kspace, other))


def test_weights_of_the_operator_are_used_and_a_choice_of_density_matters() -> None:
    data = scan("radial", 3)
    pipe, none = drawn("ncpdnet"), drawn("ncpdnet")
    none.load_state_dict(pipe.state_dict())
    none.options = replace(none.options, density=create("ncpdnet", density="none").options.density)
    images = list(pipe.images(data.kspace, data.A, 0)), list(none.images(data.kspace, data.A, 0))
    assert not torch.allclose(images[0][0], images[1][0])
    weights = 0.1 + torch.rand(data.A.samples, dtype=torch.float64)
    other = data.A.weighted(weights)
    start = next(pipe.images(other.weigh(data.kspace), other, 0))
    seen = other.with_maps(pipe.refiner(data.A.coil_maps))
    projection = seen.H(other.weigh(data.kspace))
    share = (start.conj() * projection).sum((1, 2)) / projection.abs().square().sum((1, 2))
    torch.testing.assert_close(start, share[:, None, None] * projection)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({}, "volume", "NCPDNet: dimensions: 2 given, but NUFFTOperator is for 3-dimensional"),
        ({"dimensions": 3}, "radial", "NCPDNet: dimensions: 3 given, but NUFFTOperator is for 2-"),
        ({"dimensions": 3}, "lines 20x34", "NCPDNet: dimensions: 3 given, but CartesianOperator"),
    ],
)
def test_other_dimensions_are_refused(options: dict, kind: str, words: str) -> None:
    data = scan(kind, 1, torch.complex64)
    with pytest.raises(InputError, match=words) as error:
        create("ncpdnet", iterations=1, **options)(data.kspace, data.A)
    assert "\n" not in str(error.value)


def test_a_volume_and_options_that_do_not_fit_are_refused() -> None:
    data = scan("volume", 1, torch.complex64)
    with pytest.raises(InputError, match="XPDNet: takes any linear operator of images; NUFFT"):
        create("xpdnet", iterations=1)(data.kspace, data.A)
    with pytest.raises(InputError, match="dimensions: 4 given, one of 2, 3 needed"):
        create("ncpdnet", dimensions=4)
    with pytest.raises(InputError, match="unknown density 'pip', did you mean pipe"):
        create("ncpdnet", density="pip")
    with pytest.raises(InputError, match="unknown network 'multiscale', did you mean multi-scale"):
        create("xpdnet", network="multiscale")
