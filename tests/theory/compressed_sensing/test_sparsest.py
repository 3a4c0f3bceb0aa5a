"""The sparsest signal by exhaustion, and who else finds it."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.theory import compressed_sensing as cs


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_finds_the_planted_signal(draw, dtype: torch.dtype, count: int) -> None:
    """Of random columns any m are independent, so k < (m + 1) / 2 entries are unique."""
    matrix = draw(6, 11, dtype=dtype)
    signals = torch.zeros(5, 11, dtype=dtype)
    for row, signal in enumerate(signals):
        signal[torch.randperm(11, generator=torch.Generator().manual_seed(row))[:count]] = (
            draw(count, dtype=dtype, seed=row) + 1
        )
    assert_close(cs.exhaustive_l0(matrix, signals @ matrix.mT, most=4), signals, rtol=0, atol=1e-9)


def test_says_where_nothing_fits(draw) -> None:
    matrix = draw(6, 11)
    measurements = torch.stack(
        [draw(6, seed=1), 2 * matrix[:, 4], torch.zeros(6, dtype=torch.float64)]
    )
    found = cs.exhaustive_l0(matrix, measurements, most=2)
    assert bool(found[0].isnan().all())
    assert_close(found[1], 2 * (torch.arange(11) == 4).double())
    assert found[2].tolist() == [0.0] * 11
    # m measurements are always explained by m columns.
    assert not bool(cs.exhaustive_l0(matrix, measurements, most=6).isnan().any())


def test_prefers_fewer_entries_to_a_smaller_norm(draw) -> None:
    """Where l1 is wrong l0 is right: one entry on a short column costs more than two on long
    ones.
    """
    matrix = torch.tensor([[0.1, 1.0, 0.0], [0.1, 0.0, 1.0]], dtype=torch.float64)
    signal = torch.tensor([[5.0, 0.0, 0.0]], dtype=torch.float64)
    measurements = signal @ matrix.T
    assert_close(cs.exhaustive_l0(matrix, measurements, most=2), signal)
    assert_close(
        cs.basis_pursuit(matrix, measurements).signal,
        torch.tensor([[0.0, 0.5, 0.5]]).double(),
        rtol=0,
        atol=1e-4,
    )


def test_all_three_agree_below_the_coherence_guarantee(spikes_and_signs) -> None:
    """Every support of two entries and both relations of their signs: 992 signals."""
    matrix = spikes_and_signs
    count = cs.coherence_guarantee(float(cs.coherence(matrix)))
    assert count == 2
    pairs = torch.tensor(list(combinations(range(32), count)))
    values = torch.tensor([[1.0, 0.4], [1.0, -0.4]], dtype=torch.float64)
    signals = torch.cat(
        [
            torch.zeros(len(pairs), 32).double().scatter(1, pairs, v.expand(len(pairs), -1))
            for v in values
        ]
    )
    measurements = signals @ matrix.T
    assert_close(cs.exhaustive_l0(matrix, measurements, most=count), signals, rtol=0, atol=1e-10)
    assert_close(
        cs.orthogonal_matching_pursuit(matrix, measurements, count), signals, rtol=0, atol=1e-10
    )
    assert_close(
        cs.basis_pursuit(matrix, measurements, tolerance=1e-9).signal, signals, rtol=0, atol=1e-6
    )


def test_greed_may_fail_where_exhaustion_does_not() -> None:
    """The column half way between two others fits their sum best, and is no part of it."""
    matrix = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.3]], dtype=torch.float64)
    signal = torch.tensor([[1.0, 1.0, 0.0]], dtype=torch.float64)
    assert_close(cs.exhaustive_l0(matrix, signal @ matrix.T, most=2), signal)
    greedy = cs.orthogonal_matching_pursuit(matrix, signal @ matrix.T, 2)
    assert float(greedy[0, 2].abs()) > 0.1


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_matching_pursuit_fits_what_it_took(draw, dtype: torch.dtype) -> None:
    """The residual is orthogonal to the chosen columns, and no member of a batch feels another."""
    matrix, measurements = draw(5, 8, 20, dtype=dtype), draw(5, 8, dtype=dtype, seed=1)
    signals = cs.orthogonal_matching_pursuit(matrix, measurements, 4)
    assert (signals != 0).sum(-1).tolist() == [4] * 5
    residual = measurements - (matrix @ signals[..., None])[..., 0]
    correlation = (matrix.mH @ residual[..., None])[..., 0]
    assert float(correlation[signals != 0].abs().max()) < 1e-12
    for batch in range(1, 6):
        some = cs.orthogonal_matching_pursuit(matrix[:batch], measurements[:batch], 4)
        assert_close(some, signals[:batch], rtol=1e-10, atol=1e-12)


def test_matching_pursuit_does_not_look_at_lengths(draw) -> None:
    matrix, lengths = draw(8, 20), 10.0 ** torch.linspace(-3, 3, 20).double()
    measurements = draw(3, 8, seed=1)
    plain = cs.orthogonal_matching_pursuit(matrix, measurements, 3)
    assert_close(
        cs.orthogonal_matching_pursuit(matrix * lengths, measurements, 3) * lengths,
        plain,
        rtol=1e-8,
        atol=1e-9,
    )


def test_bad_input(draw) -> None:
    with pytest.raises(InputError, match="supports"):
        cs.exhaustive_l0(draw(10, 60), draw(1, 10), most=5)
    with pytest.raises(InputError, match="most"):
        cs.exhaustive_l0(draw(4, 9), draw(1, 4), most=5)
    with pytest.raises(InputError, match="one matrix"):
        cs.exhaustive_l0(draw(2, 4, 9), draw(2, 4), most=2)
    for sparsity in (0, 5):
        with pytest.raises(InputError, match="sparsity"):
            cs.orthogonal_matching_pursuit(draw(4, 9), draw(1, 4), sparsity)
