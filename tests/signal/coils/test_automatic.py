"""ESPIRiT where there are calibration lines enough for its patches, else low resolution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deqlab.signal.coils.automatic import Auto, chosen
from deqlab.signal.coils.coil_maps import LowResolution, estimate_coil_maps
from deqlab.signal.coils.coil_simulation import simulate_coil_maps
from deqlab.signal.coils.espirit import ESPIRiT
from deqlab.signal.coils.walsh import Walsh
from deqlab.signal.transforms.crop import center_window
from deqlab.signal.transforms.fourier import fft2c

SHAPE = (96, 80)


def measured(coils: int) -> tuple[Tensor, Tensor, Tensor]:
    """(k-space, true maps, where the object is) of a textured ellipse."""
    y, x = (torch.linspace(-1, 1, side) for side in SHAPE)
    inside = (y[:, None] / 0.75) ** 2 + (x / 0.8) ** 2 < 1
    image = inside * (1 + 0.5 * torch.randn(SHAPE))
    maps = simulate_coil_maps(coils, SHAPE, seed=3)
    return fft2c(maps * image) + 1e-3 * torch.randn(coils, *SHAPE), maps, inside


# There are (lines - k + 1) (24 - k + 1) patches of coils k^2 numbers each; 1.1 for each are needed.
@pytest.mark.parametrize(
    "coils, lines, kernel",
    [
        (4, 16, 6),  # 209 patches for 144 numbers
        (4, 11, 5),  # 114 for 144; 140 for 100
        (7, 9, 4),  # 126 for 112
        (16, 11, 3),  # 168 for 256; 198 for 144
        (16, 5, 2),  # 66 for 144; 92 for 64
        (32, 5, None),  # 92 for 128
        (4, 1, None),
        (1, 16, None),
    ],
)
def test_the_largest_patch_that_the_lines_suffice_for(coils: int, lines: int, kernel: int) -> None:
    kspace = torch.randn(coils, *SHAPE, dtype=torch.complex64)
    window = center_window(SHAPE[1], lines)
    expected = LowResolution() if kernel is None else ESPIRiT(kernel=kernel)
    assert Auto().choice(kspace, window) == expected
    assert estimate_coil_maps(kspace, window, Auto()).equal(
        estimate_coil_maps(kspace, window, expected)
    )


def test_few_rows_count_like_few_lines() -> None:
    kspace, lines = torch.randn(4, *SHAPE, dtype=torch.complex64), center_window(SHAPE[1], 16)
    assert Auto().choice(kspace, lines, center_window(SHAPE[0], 10)) == ESPIRiT(kernel=4)


def test_its_options_move_the_rule() -> None:
    kspace, lines = torch.randn(4, *SHAPE, dtype=torch.complex64), center_window(SHAPE[1], 16)
    assert Auto(kernel=4).choice(kspace, lines) == ESPIRiT(kernel=4)
    assert Auto(patches=2).choice(kspace, lines) == ESPIRiT(kernel=5)
    assert Auto(patches=100).choice(kspace, lines) == LowResolution()


def test_other_methods_are_what_was_chosen() -> None:
    kspace, lines = torch.randn(4, *SHAPE, dtype=torch.complex64), center_window(SHAPE[1], 16)
    assert chosen(Walsh(), kspace, lines) == Walsh()
    assert chosen(Auto(), kspace, lines) == ESPIRiT()


def test_with_many_coils_and_few_lines_the_usual_patch_is_too_large() -> None:
    kspace, true, inside = measured(16)
    lines = center_window(SHAPE[1], 9)

    def error(method) -> float:
        """What of the maps does not lie along the true ones, inside the object."""
        maps = estimate_coil_maps(kspace, lines, method)
        along = (maps.conj() * true).sum(0).abs().square()
        return float((1 - along)[inside].mean())

    assert error(Auto()) < 0.5 * min(error(ESPIRiT()), error(LowResolution()))
