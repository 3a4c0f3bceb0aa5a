"""Laws of a denoiser that meets missing rows of k-space transposed."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from deqlab.networks.along_lines import AlongLines, along_lines, lacks_rows
from deqlab.networks.protocol import with_network
from deqlab.networks.told_network import AtLevel
from deqlab.operators import CartesianOperator
from deqlab.recon import Budget, create


def told(image: Tensor, level: Tensor) -> Tensor:
    """Knows rows from columns, and each sample's level."""
    return image + level * image.roll(1, -1)


def images(count: int, rows: int = 6, columns: int = 9) -> Tensor:
    return torch.randn(count, rows, columns, dtype=torch.complex128)


def line_mask(rows: bool, shape: tuple[int, int]) -> Tensor:
    length = shape[0] if rows else shape[1]
    line = torch.arange(length) % 3 == 0
    line[length // 2 - 1 : length // 2 + 2] = True
    return (line[:, None] if rows else line).expand(shape)[None, None]


def test_rows_are_told_from_columns_and_from_all_else():
    shape = (6, 9)
    points = torch.rand(shape) < 0.4
    masks = torch.cat(
        [
            line_mask(True, shape),
            line_mask(False, shape),
            points[None, None],
            torch.ones(1, 1, *shape, dtype=torch.bool),
        ]
    )
    assert lacks_rows(masks).tolist() == [True, False, False, False]
    assert lacks_rows(masks[1:2, :, :1]).tolist() == [False]  # one row for all
    assert lacks_rows(masks[:1, ..., :1]).tolist() == [True]  # one column for all


def test_each_sample_is_turned_as_its_own_mask_says():
    torch.manual_seed(0)
    x, level = images(4), torch.rand(4, 1, 1, dtype=torch.float64)
    turned = torch.tensor([False, True, True, False])
    result = AlongLines(AtLevel(told, level), turned)(x)
    for n in range(4):
        alone = told(x[n].mT, level[n]).mT if turned[n] else told(x[n], level[n])
        torch.testing.assert_close(result[n], alone)
    index = torch.tensor([3, 1])
    torch.testing.assert_close(
        AlongLines(AtLevel(told, level), turned).select(index)(x[index]), result[index]
    )


def test_columns_alone_cost_no_call():
    denoiser = AtLevel(told, torch.ones(1, 1, 1))
    assert along_lines(denoiser, line_mask(False, (6, 9))) is denoiser


def test_the_network_inside_is_exchanged():
    bound = AlongLines(AtLevel(told, torch.ones(2, 1, 1)), torch.tensor([True, False]))
    other = with_network(bound, abs)
    assert other.denoiser.denoiser is abs and other.turned is bound.turned
    assert other.denoiser.level is bound.denoiser.level
    assert with_network(told, abs) is abs


@dataclass(frozen=True)
class Scan:
    """kspace: complex (1, coil, y, x)."""

    kspace: Tensor
    operator: CartesianOperator

    def transposed(self) -> "Scan":
        A = self.operator
        return Scan(self.kspace.mT.contiguous(), CartesianOperator(A.mask.mT, A.coil_maps.mT))


def scan(shape: tuple[int, int]) -> Scan:
    torch.manual_seed(1)
    maps = torch.randn(1, 2, *shape, dtype=torch.complex64)
    maps = maps / maps.abs().square().sum(1, keepdim=True).sqrt()
    A = CartesianOperator(line_mask(False, shape), maps)
    return Scan(A(torch.randn(1, *shape, dtype=torch.complex64)), A)


@pytest.mark.parametrize("name", ["de-grad-measured", "de-prox", "de-admm", "modl"])
def test_a_transposed_scan_has_the_transposed_image(name):
    torch.manual_seed(2)
    level = {"denoiser": {"name": "demodulated-unet", "widths": (4, 6)}, "level": 0.02}
    model = create(name, **level)
    for weights in model.parameters():
        if weights.ndim == 4 and not weights.any():  # last layers start as 0
            torch.nn.init.normal_(weights, std=0.05)
    lying = scan((16, 24))
    standing = lying.transposed()
    budget = Budget(None if name == "modl" else 1e-3, 6)
    image = model.run(lying.kspace, lying.operator, budget).image
    turned = model.run(standing.kspace, standing.operator, budget).image
    torch.testing.assert_close(turned.mT, image, rtol=1e-4, atol=1e-5)
