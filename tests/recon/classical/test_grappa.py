"""GRAPPA: exact where a kernel exists, the dense least-squares fit where it does not, and measured
lines untouched.
"""

from __future__ import annotations

import pytest
import torch

from deqlab.core.errors import InputError
from deqlab.operators import CartesianOperator
from deqlab.recon.classical.grappa import GRAPPA, _sources
from deqlab.signal.coils.coil_maps import rss
from deqlab.signal.transforms.fourier import fft2c, ifft2c


def every(step: int, width: int, lines: int, first: int = 0) -> torch.Tensor:
    """Every `step`-th line and `lines` calibration lines about the centre."""
    index = torch.arange(width)
    return (index % step == first) | (
        (index - width // 2 + lines // 2 >= 0) & (index - width // 2 + lines // 2 < lines)
    )


def harmonic(
    coils: int = 4, rows: int = 18, columns: int = 24, batch: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """(k-space, maps) of an object under maps exp(i j x), j = 0, 1, ...: line k of coil j is line k
    - j of the object, up to a phase.

    With as many coils as lines are skipped, each missing sample is a measured sample of another
    coil, so an exact kernel exists.
    """
    x = torch.arange(columns, dtype=torch.float64) - columns // 2
    maps = (
        torch.stack([torch.exp(2j * torch.pi * j * x / columns) for j in range(coils)])[
            None, :, None
        ]
        / coils**0.5
    )
    maps = maps.expand(batch, -1, rows, -1)
    return fft2c(maps * torch.randn(batch, 1, rows, columns, dtype=torch.complex128)), maps


def interior(filled: torch.Tensor, margin: int) -> torch.Tensor:
    return filled[..., margin:-margin]


@pytest.mark.parametrize(
    "step, coils, kernel", [(2, 2, (1, 2)), (2, 4, (3, 2)), (3, 4, (5, 2)), (4, 5, (3, 2))]
)
@pytest.mark.parametrize("columns", [32, 33])
def test_it_is_exact_where_a_kernel_exists(
    step: int, coils: int, kernel: tuple[int, int], columns: int
) -> None:
    kspace, _ = harmonic(coils, columns=columns)
    mask = every(step, columns, 14, (columns // 2) % step)
    filled = GRAPPA(kernel, 1e-12).fill(kspace * mask, mask)
    # The rim wraps around in this object's k-space, and a kernel does not.
    torch.testing.assert_close(
        interior(filled, 2 * step), interior(kspace, 2 * step), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (5, 3)])
@pytest.mark.parametrize("irregular", [False, True])
def test_it_is_the_regularised_least_squares_fit(kernel: tuple[int, int], irregular: bool) -> None:
    """Every missing sample of a small k-space, from a dense fit written out with loops."""
    rows, columns, coils, weight = 9, 22, 2, 0.02
    kspace = torch.randn(1, coils, rows, columns, dtype=torch.complex128)
    mask = every(3, columns, 10)
    if irregular:
        mask[[0, 3, 19]] = False
    samples, half = kernel[0], kernel[0] // 2
    filled = GRAPPA(kernel, weight, reach=4).fill(kspace * mask, mask)[0]
    measured, lines = mask.nonzero().flatten().tolist(), range(6, 16)
    data = torch.nn.functional.pad(kspace[0] * mask, (0, 0, half, half))
    for column in (~mask).nonzero().flatten().tolist():
        offsets = _sources(column, measured, kernel[1], len(lines) // 2 + 1)
        if min(map(abs, offsets), default=99) > 4:
            assert float(filled[..., column].abs().max()) == 0
            continue

        def patch(row: int, at: int) -> torch.Tensor:
            return torch.stack(
                [data[:, row : row + samples, at + offset] for offset in offsets]
            ).flatten()

        stand_ins = [line for line in lines if all(line + offset in lines for offset in offsets)]
        pairs = [(row, line) for row in range(half, rows - half) for line in stand_ins]
        S = torch.stack([patch(row, line) for row, line in pairs])
        T = torch.stack([kspace[0, :, row, line] for row, line in pairs])
        gram = S.mH @ S
        distances = torch.tensor([offset**2.0 for offset in offsets]).repeat_interleave(
            coils * samples
        )
        gram = gram + weight * gram.diagonal().real.mean() * torch.diag(distances)
        weights = torch.linalg.solve(gram, S.mH @ T)
        wanted = torch.stack([patch(row, column) @ weights for row in range(rows)], dim=1)
        torch.testing.assert_close(filled[..., column], wanted)


def test_lines_beyond_the_reach_stay_zero() -> None:
    kspace = torch.randn(1, 4, 12, 40, dtype=torch.complex128)
    mask = every(2, 40, 16)
    mask[2:9], mask[32:] = False, False
    for reach in (1, 2, 3, 8):
        zero = GRAPPA(reach=reach).fill(kspace * mask, mask).abs().amax((0, 1, 2)) == 0
        far = torch.tensor(
            [
                min(abs(int(line) - column) for line in mask.nonzero()) > reach
                for column in range(40)
            ]
        )
        assert zero.equal(far)


def test_measured_lines_stay_as_they_are() -> None:
    kspace = torch.randn(2, 3, 16, 24, dtype=torch.complex64)
    mask = every(3, 24, 10)
    filled = GRAPPA().fill(kspace * mask, mask)
    assert filled[..., mask].equal(kspace[..., mask]) and filled.dtype == torch.complex64
    assert bool((filled[..., ~mask].abs().amax((0, 1, 2)) > 0).all())


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_members_of_a_batch_are_reconstructed_alone(batch: int) -> None:
    """Own masks, own scales: each member is what it is by itself."""
    masks = torch.stack([every(2 + member % 2, 24, 10) for member in range(batch)]).reshape(
        batch, 1, 1, 24
    )
    kspace = (
        torch.randn(batch, 3, 12, 24, dtype=torch.complex128)
        * 10.0 ** torch.arange(batch)[:, None, None, None]
        * masks
    )
    filled = GRAPPA().fill(kspace, masks)
    for member in range(batch):
        torch.testing.assert_close(
            filled[member], GRAPPA().fill(kspace[member : member + 1], masks[member].flatten())[0]
        )


def test_scale_and_precision_do_not_matter() -> None:
    kspace, _ = harmonic()
    mask = every(2, 24, 10)
    filled = GRAPPA().fill(kspace * mask, mask)
    for factor in (1e-20, 1e20):
        torch.testing.assert_close(GRAPPA().fill(factor * kspace * mask, mask), factor * filled)
    single = GRAPPA().fill((kspace * mask).to(torch.complex64), mask)
    torch.testing.assert_close(single, filled.to(torch.complex64), atol=1e-4, rtol=1e-4)
    assert float(GRAPPA().fill(0 * kspace, mask).abs().max()) == 0


def test_the_reconstructor_combines_by_maps_or_by_root_sum_of_squares() -> None:
    kspace, maps = harmonic(4, columns=32, batch=2)
    mask = every(2, 32, 12)
    A = CartesianOperator(mask, maps)
    filled = ifft2c(GRAPPA().fill(kspace * mask, mask))
    torch.testing.assert_close(GRAPPA()(kspace * mask, A), (maps.conj() * filled).sum(1))
    torch.testing.assert_close(
        GRAPPA(combine="rss")(kspace * mask, A), rss(filled).to(torch.complex128)
    )
    single = CartesianOperator(mask)
    assert GRAPPA()(kspace[:, :1] * mask, single).shape == (2, 18, 32)


def test_a_better_image_than_the_folded_one() -> None:
    kspace, maps = harmonic(4, columns=32)
    image = (maps.conj() * ifft2c(kspace)).sum(1)
    mask = every(3, 32, 12)
    error = {
        name: float((method - image).norm() / image.norm())
        for name, method in (
            ("folded", (maps.conj() * ifft2c(kspace * mask)).sum(1)),
            ("grappa", GRAPPA()(kspace * mask, CartesianOperator(mask, maps))),
        )
    }
    assert error["grappa"] < 0.7 * error["folded"]


@pytest.mark.parametrize(
    "column, count, available, offsets",
    [
        (3, 2, 9, (-1, 2)),
        (3, 3, 9, (-3, -1, 2)),
        (3, 4, 12, (-3, -1, 2, 6)),
        (3, 3, 4, (-1, 2)),
        (6, 2, 9, (-1, 3)),
        (7, 2, 4, (-2,)),
        (7, 2, 3, (-2,)),
        (20, 2, 9, ()),
        (12, 2, 9, (-7, -3)),
    ],
)
def test_sources_are_the_nearest_of_both_sides_that_fit(
    column: int, count: int, available: int, offsets: tuple[int, ...]
) -> None:
    assert _sources(column, [0, 2, 5, 9], count, available) == offsets


@pytest.mark.parametrize(
    "options, words",
    [
        ({"kernel": (4, 2)}, "odd"),
        ({"kernel": (5, 0)}, "kernel"),
        ({"kernel": (5,)}, "kernel"),
        ({"weight": 0.0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"reach": 0}, "reach"),
        ({"combine": "sos"}, "combine.*rss"),
    ],
)
def test_choices_that_cannot_be_are_named(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        GRAPPA(**options)


@pytest.mark.parametrize(
    "mask, kernel, words",
    [
        (torch.ones(24, dtype=torch.bool), (5, 2), "no gap"),
        (torch.zeros(24, dtype=torch.bool), (5, 2), "no calibration lines"),
        (torch.arange(24) % 2 == 0, (5, 2), "no calibration lines"),
        (every(4, 24, 6), (5, 4), "4 lines given.*7 calibration lines"),
        (torch.ones(16, 24, dtype=torch.bool), (5, 2), "whole lines"),
        (every(2, 22, 10), (5, 2), "24 columns"),
        (every(2, 24, 10), (17, 2), "17 readout samples given, kspace has 16"),
    ],
)
def test_masks_and_kernels_that_cannot_be_are_named(
    mask: torch.Tensor, kernel: tuple[int, int], words: str
) -> None:
    kspace = torch.randn(1, 3, 16, 24, dtype=torch.complex64)
    with pytest.raises(InputError, match=words):
        GRAPPA(kernel).fill(kspace, mask)
