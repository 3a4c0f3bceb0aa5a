"""One fixed point looks like one from everywhere, two look like two."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.de_prox import DEProx
from deqlab.recon.deq.mol import MOL
from deqlab.solvers import Picard
from deqlab.theory.uniqueness import default_starts, fixed_point_spread


class Nearest(nn.Module):
    """R(x) pulls every real part towards the nearer of -1 and 1: as many fixed points as there are
    signs.
    """

    def forward(self, image: Tensor) -> Tensor:
        return torch.complex(torch.tanh(4 * image.real), 0.0 * image.imag)


@pytest.mark.parametrize("kind", [DEGrad, MOL])
def test_a_contraction_ends_at_one_image_from_everywhere(measure, denoiser, kind: type) -> None:
    data = measure(3)
    model = kind(denoiser(0.8), step=0.4).double()
    result = fixed_point_spread(model, data.kspace, data.A, tolerance=1e-9, max_evaluations=500)
    assert result.converged.all() and result.images.shape == (len(result.names), 3, 6, 7)
    assert (
        result.names[:2] == ["zero-filled", "zeros"]
        and len(set(result.names)) == len(result.names) >= 6
    )
    # At most 2 t / (1 - g) with g = 1 - eta (1 - L).
    assert bool((result.spread <= 2e-9 / (0.4 * 0.2)).all()) and bool((result.spread > 0).all())


def test_two_fixed_points_are_told_apart(measure) -> None:
    """The distance is that of the answers, relative to the longer: 2 between x and -x."""
    data = measure(2, coils=1)
    data.kspace.zero_()
    model = DEProx(Nearest(), step=1e-6, solver=Picard()).double()
    one = torch.ones(2, 6, 7, dtype=torch.complex128)
    result = fixed_point_spread(
        model,
        data.kspace,
        data.A,
        {"plus": one, "also plus": 0.5 * one, "minus": -one},
        tolerance=1e-8,
    )
    assert result.converged.all()
    assert_close(result.spread, torch.full((2,), 2.0, dtype=torch.float64))
    assert_close(result.distance[0, 1], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)
    assert_close(result.distance[0, 2], result.distance[2, 0])


def test_an_answer_that_did_not_converge_is_no_answer(measure, denoiser) -> None:
    data, model = measure(2), DEGrad(denoiser(0.8), step=0.4).double()
    solved = model.solve(data.kspace, data.A, tolerance=1e-10, max_evaluations=500).value
    starts = {"solved": solved, "near": solved * (1 + 1e-7), "far": 1e3 * solved}
    result = fixed_point_spread(
        model, data.kspace, data.A, starts, tolerance=1e-5, max_evaluations=2
    )
    assert result.converged.tolist() == [[True, True], [True, True], [False, False]]
    assert bool((result.spread < 1e-5).all()) and bool(result.distance[0, 2].isnan().all())
    starts.pop("near")
    assert bool(
        fixed_point_spread(model, data.kspace, data.A, starts, 1e-5, 2).spread.isnan().all()
    )
    with pytest.raises(InputError, match="starts: 1 given"):
        fixed_point_spread(model, data.kspace, data.A, {"solved": solved})


def test_starts_scale_with_the_data_and_differ(measure) -> None:
    data = measure(2)
    starts, scaled = default_starts(data.kspace, data.A), default_starts(1e-5 * data.kspace, data.A)
    length = starts["zero-filled"].flatten(1).norm(dim=1)
    for name, start in starts.items():
        assert_close(scaled[name], 1e-5 * start)
        assert start.shape == (2, 6, 7) and start.dtype == torch.complex128
    assert_close(starts["noise x10"].flatten(1).norm(dim=1), 10 * length)
    assert_close(starts["next sample"][0], starts["zero-filled"][1])
    assert "next sample" not in default_starts(data.kspace[:1], data.member(0).A)
    flat = torch.stack(list(starts.values())).flatten(2)
    gaps = (flat[:, None] - flat[None]).norm(dim=-1)
    assert bool((gaps[~torch.eye(len(flat), dtype=torch.bool)] > 1e-2).all())
