"""Does every sample stand where it was left? A sample that is done is found done again whenever its
batch is evaluated, unless the map couples it to the others.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deqlab.core.errors import DeqlabWarning
from deqlab.solvers.criterion import lengths
from deqlab.solvers.flat import StateT, flatten
from deqlab.solvers.protocol import Criterion
from deqlab.solvers.solution import Solution

# A residual that was at most the tolerance may be so many times as large when it is taken again: a
# sum over a batch of another size is rounded otherwise.
SLACK = 2.0
# Of ||f(x)||, in roundings: by how much f(x) may differ from itself.
ROUNDINGS = 4.0


@dataclass(frozen=True)
class Recheck:
    """Whether a sample is still where it was left, when its residual is taken again.

    dtype: the precision that f computes in, which under autocast is not the state's.
    """

    criterion: Criterion
    tolerances: Sequence[float]
    dtype: torch.dtype

    def moved(self, member: int, why: str, known: float, size: float, length: float) -> bool:
        """Whether ||f(x) - x|| = `size` at ||f(x)|| = `length` is beyond both the tolerance of
        `member`, which stopped for the reason `why`, and the residual that is `known` of it.
        """
        beyond = max(size - ROUNDINGS * torch.finfo(self.dtype).eps * length, 0.0)
        allowed = SLACK * max(known, self.tolerances[member])
        # Not `>`: a residual that is NaN is not within it either.
        return why != "not finite" and not self.criterion(beyond, length) <= allowed


def computed_in(state: Tensor) -> torch.dtype:
    """The precision that a map of flat states, real (batch, n), computes in here."""
    kind = state.device.type
    if torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return state.dtype


@torch.no_grad()
def corrected(solution: Solution[StateT], image: StateT, recheck: Recheck) -> Solution[StateT]:
    """The solution, if `image`, f of the whole batch at its value, proves it. If any sample has
    moved, all have the residuals that they have in truth, those that "converged" and have not are
    "coupled", and a DeqlabWarning says so.
    """
    flat = flatten(image).detach()
    measured = list(zip(*lengths(flat - flatten(solution.value).detach(), flat)))
    known = solution.residual.tolist()
    moved = [
        recheck.moved(at, solution.reason[at], known[at], *pair) for at, pair in enumerate(measured)
    ]
    if not any(moved):
        return solution
    warnings.warn(COUPLED, DeqlabWarning, stacklevel=5)
    reason = [
        "coupled" if was == "converged" and gone else was
        for was, gone in zip(solution.reason, moved)
    ]
    return replace(
        solution,
        residual=torch.tensor(
            [recheck.criterion(*pair) for pair in measured],
            dtype=torch.float64,
            device=solution.residual.device,
        ),
        reason=reason,
        converged=torch.tensor([why == "converged" for why in reason]),
    )


def may_have_moved(solution: Solution) -> bool:
    """Whether the samples were last seen at different evaluations: only then can one stand
    elsewhere than it was seen.
    """
    together = len(set(solution.evaluations.tolist())) == 1 and bool(solution.converged.all())
    return len(solution.reason) > 1 and not together


# Without numbers, so that a training run says it once.
COUPLED = (
    "f couples the samples of its batch, or draws random numbers: samples that were done no"
    " longer stand where they stood, now that others have moved, and do not count as converged."
    " The first axis is the batch: give an unbatched state one, x0[None], put BatchNorm in"
    " evaluation mode, and take sums over the batch out of f"
)
