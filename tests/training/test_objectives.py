"""Options of objectives do what their sentences say, and their defaults nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from deqlab.core.errors import InputError
from deqlab.data.sample import Batch
from deqlab.data.truth import KnownTruth
from deqlab.equilibrium import Unrolled
from deqlab.losses.registry import LOSSES
from deqlab.networks import DnCNN
from deqlab.recon import create
from deqlab.training.config import TrainingConfig
from deqlab.training.objectives import Denoising, EquilibriumError, Step
from deqlab.training.objectives.denoising import log_uniform, with_noise

PLAIN = EquilibriumError(hinge=0.0, max_evaluations=9, tolerance=0.0)


@pytest.fixture
def batch(measure) -> Batch:
    data = measure(2, size=(8, 9))
    reference = torch.randn_like(data.A.H(data.kspace))
    return Batch(
        kspace=data.kspace,
        operator=data.A,
        scale=torch.ones(2),
        file=["a", "b"],
        slice=[0, 0],
        contrast=["", ""],
        crop=(8, 9),
        truth=KnownTruth(reference=reference),
    )


def model(objective: EquilibriumError = PLAIN) -> nn.Module:
    torch.manual_seed(2)
    made = create("de-grad", denoiser=DnCNN.Options(depth=2, width=4), step=0.5).double()
    for parameter in made.denoiser.parameters():
        nn.init.normal_(parameter, std=0.1)
    objective.attach(made)
    return made


def step(number: int = 0, seed: int = 0) -> Step:
    return Step(seed, number, LOSSES.make("l1"))


def test_what_is_kept_is_the_noise_that_the_denoiser_leaves(batch: Batch) -> None:
    """The weight times what is logged; for R = I all of the noise, at the phase of the image too,
    and R + I for a denoiser that doubles.
    """
    made = model()
    loss, logs = PLAIN(made, batch, step())
    assert "noise left" not in logs
    kept = replace(PLAIN, keep=3.0)
    more, told = kept(made, batch, step())
    assert float((more - loss).detach()) == pytest.approx(3 * told["noise left"], rel=1e-6)
    assert told["loss"] == logs["loss"]
    slopes = torch.autograd.grad(more - loss, list(made.denoiser.parameters()))
    assert all(slope.abs().sum() > 0 for slope in slopes)
    made.denoiser = nn.Identity()
    assert kept(made, batch, step())[1]["noise left"] == pytest.approx(1)


def test_kept_levels_and_draws_follow_seed_and_step(batch: Batch) -> None:
    seen: list[Tensor] = []

    class Watch(nn.Module):
        def forward(self, image: Tensor) -> Tensor:
            seen.append(image.detach())
            return image

    made = model(replace(PLAIN, max_evaluations=1))
    made.denoiser = Watch()
    kept = replace(PLAIN, keep=1.0, keep_levels=(0.3, 0.6))
    for number, seed in ((0, 0), (0, 0), (1, 0), (0, 1)):
        before = len(seen)
        kept(made, batch, step(number, seed))
        assert len(seen) > before
        seen[before:] = [seen[-1]]
    first, again, later, other = seen
    assert torch.equal(first, again)
    assert not torch.equal(first, later) and not torch.equal(first, other)
    # The phase of the zero-filled image is taken out, before R sees it.
    phase = made.fixed_point_map(batch.kspace, batch.operator).phase
    level = (phase * first - batch.known("reference")).abs().square().mean((-2, -1)).sqrt()
    assert bool((level > 0.15).all() and (level < 0.9).all())


@pytest.mark.parametrize("shortest", [None, 2, 9])
def test_a_solve_has_a_budget_of_its_own_in_each_step(batch: Batch, shortest) -> None:
    made, objective = model(), replace(PLAIN, shortest=shortest)

    def spent(number: int) -> float:
        return objective(made, batch, step(number))[1]["evaluations"]

    found = Counter(spent(number) for number in range(60))
    if shortest == 2:
        assert set(found) <= set(range(2, 10)) and len(found) >= 6
        # Each doubling is as likely as any other: 2 and 3 are drawn as often as 4 to 8.
        assert found[2] + found[3] > 1.2 * (found[7] + found[8] + found[9])
        assert [spent(number) for number in range(5)] == [spent(number) for number in range(5)]
    else:
        assert set(found) == {9}


def test_a_shortest_solve_beyond_the_longest_is_refused() -> None:
    with pytest.raises(InputError, match="shortest: 50 given, at most max_evaluations"):
        EquilibriumError(shortest=50, max_evaluations=40)


def test_defaults_change_nothing(batch: Batch) -> None:
    """Whatever the model's budget was set to counts, as it did before there was a choice."""
    made = model()
    made.max_evaluations = 4
    assert PLAIN(made, batch, step())[1]["evaluations"] == 4


def test_denoising_may_be_relative(batch: Batch) -> None:
    made, objective = model(), Denoising(levels=(0.1, 0.1), relative=True)
    loss, logs = objective(made, batch, step())
    clean = batch.known("reference")
    noisy, level = with_noise(clean, (0.1, 0.1), step().generator())
    assert level.flatten().tolist() == pytest.approx([0.1 / 2**0.5] * len(clean))
    left = (made.denoiser(noisy) - clean).flatten(1).norm(dim=1)
    assert_close(loss, (left / (noisy - clean).flatten(1).norm(dim=1)).mean())
    assert logs == {"loss": loss.item()}
    made.denoiser = nn.Identity()
    assert float(objective(made, batch, step())[0]) == pytest.approx(1)
    # Any level counts alike.
    loud = Denoising(levels=(5.0, 5.0), relative=True)
    assert float(loud(made, batch, step())[0]) == pytest.approx(1)


def test_denoising_is_learned_from_the_images_that_are_drawn_for_it() -> None:
    config = TrainingConfig(objective="denoising")
    (phase,) = config.objective.phases(3, config.model)
    assert phase.stream == 0 and phase.epochs == 3
    assert [p.stream for p in EquilibriumError().phases(3, config.model)] == [0, 1]


def test_uses_of_random_numbers_are_apart() -> None:
    numbers = [torch.rand(1, generator=step(5).generator(use)) for use in (0, 1, 2)]
    assert len({float(number) for number in numbers}) == 3
    other = torch.rand(1, generator=step(5, seed=1).generator())
    assert float(other) not in {float(number) for number in numbers}
    # As ever, for the seed and the use that runs have by default.
    plain = torch.rand(1, generator=torch.Generator().manual_seed(5))
    assert torch.equal(numbers[0], plain)
    drawn = [log_uniform(1.0, 100.0, step(n).generator()) for n in range(400)]
    assert min(drawn) >= 1 and max(drawn) <= 100
    assert 0.4 < sum(number < 10 for number in drawn) / 400 < 0.6


def test_what_still_moves_is_paid_for(batch: Batch) -> None:
    """The weight times what is logged, which one more evaluation gives; of no weight it changes
    nothing, and its gradient makes the map come nearer to rest.
    """
    resting = replace(PLAIN, still=3.0, gradient=Unrolled(2), max_evaluations=3)
    made = model(resting)
    plain, none = replace(resting, still=0.0)(made, batch, step())
    loss, logs = resting(made, batch, step())
    with torch.no_grad():
        f = made.iterated_map(batch.kspace, batch.operator)
        x = f(f(made.solve(batch.kspace, batch.operator).value))
        motion = ((f(x) - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)).mean()
    assert "motion" not in none and logs["motion"] == pytest.approx(float(motion))
    assert_close(loss, plain + 3 * motion)
    (loss - plain).backward()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.grad is not None:
                parameter -= 1e-3 * parameter.grad
    assert resting(made, batch, step())[1]["motion"] < logs["motion"]
