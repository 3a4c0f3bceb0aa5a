"""Monotone operator learning: forward-backward splitting whose step cannot leave the range in which
it contracts.

A. Pramanik, M. B. Zimmerman and M. Jacob, Memory-efficient model-based deep learning with
convergence and robustness guarantees, IEEE TCI 9 (2023). The equilibrium solves A^H (A x - y) + w
(x - H(x)) = 0 and is that of DE-Grad with the same denoiser and weight; the paper's weight on the
data is lambda = 1 / w. Departure: the paper's limit, alpha < 2 m / (2 - m)^2, is that of any
m-monotone F = I - H with Lip(F) <= 2 - m. Here Lip(H) <= q = 1 - m is enforced, which says more and
allows alpha < 2 / (1 + q) (see `theory.contraction`): for q = 0.9 that is 1.05 in place of 0.055,
and the contraction bound at alpha = 1 is q, where that of the paper at its best step is 0.9986.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from deqlab.core.errors import InputError
from deqlab.core.options import Options, Positive, option, options
from deqlab.networks.dncnn import DnCNNOptions
from deqlab.networks.protocol import Denoiser
from deqlab.networks.registry import DENOISERS
from deqlab.operators import LinearOperator
from deqlab.recon.deq.base import EquilibriumReconstructor, log_parameter
from deqlab.recon.deq.fixed_point_map import OneImageMap
from deqlab.recon.steps.resolvent import resolvent


@dataclass
class MonotoneMap(OneImageMap):
    """MOL: f(x) = (I + alpha / w A^H A)^-1 (x - alpha (x - H(x)) + alpha / w A^H y).

    H: the denoiser; alpha: the step; w: the weight. A gradient step on the prior, then a resolvent
    step on the data, which expands nothing, whatever A is.
    """

    weight: Tensor | float = 1.0

    def __call__(self, x: Tensor, /) -> Tensor:
        data_step = self.step / self.weight
        forward = x - self.step * (x - self.denoised(x))
        return resolvent(self.A, forward + data_step * self.projection, data_step)


# The outermost part of the interval of steps at either end, as a share of it: there the bound is
# all but 1.
MARGIN = 1e-3


@options
class MOLOptions(Options):
    """The architecture of `MOL`."""

    denoiser: Annotated[Any, DENOISERS] = option(
        DnCNNOptions(lipschitz=0.9, residual=False), "the network H, with Lip(H) <= lipschitz < 1"
    )
    step: Positive = option(1.0, "alpha to begin with, below 2 / (1 + lipschitz); it is learned")
    weight: Positive = option(1.0, "of the prior against the data to begin with; it is learned")


class MOL(EquilibriumReconstructor):
    """The equilibrium of `MonotoneMap`: the only one, reached from anywhere, for every A and every
    weight.

    denoiser: H with an attribute `lipschitz` q < 1 that bounds Lip(H), as DnCNN(lipschitz=q,
        residual=False); else an InputError. DnCNN keeps its bound where `project_()` is called
        after every update of the weights, as the trainer does.
    step: alpha to begin with, 0 < alpha < 2 / (1 + q). Its log odds within that interval are
        learned, so that no update can leave it. Where alpha is small the residual f(x) - x shrinks
        with it: a solve stops as much farther from the equilibrium.
    weight: w of the prior against the data, learned through its logarithm.
    """

    Options = MOLOptions

    def __init__(self, *values: Any, **named: Any):
        super().__init__(*values, **named)
        limit, step = self.step_limit, self.options.step
        share = (step / limit - MARGIN) / (1 - 2 * MARGIN)
        if not 0 < share < 1:
            raise InputError(
                f"step: {step} given, more than 0 and less than {limit:.4g} needed where Lip(H) <="
                f" {self.denoiser.lipschitz}"
            )
        self.step_log_odds = nn.Parameter(torch.tensor(share, dtype=torch.float64).logit().float())
        self.log_weight = log_parameter("weight", self.options.weight)

    @property
    def step_limit(self) -> float:
        """2 / (1 + q), the open upper end of the steps that contract for every A; InputError where
        the denoiser's Lipschitz bound q is not below 1.
        """
        if not isinstance(self.denoiser, Denoiser) or self.denoiser.lipschitz is None:
            raise InputError("lipschitz: the denoiser has no Lipschitz bound, below 1 needed")
        lipschitz = self.denoiser.lipschitz
        bound = lipschitz + float(self.denoiser.residual)
        if not bound < 1:
            raise InputError(
                f"lipschitz: the denoiser's Lipschitz bound is {bound}, below 1 needed"
                " (DnCNN: lipschitz < 1 and residual=False)"
            )
        return 2 / (1 + lipschitz)

    def scalars(self) -> dict[str, float]:
        """The step."""
        return {"step": self.step.item()}

    @property
    def step(self) -> Tensor:
        """The step size alpha, inside (0, step_limit) whatever was learned."""
        return self.step_limit * (MARGIN + (1 - 2 * MARGIN) * self.step_log_odds.sigmoid())

    def fixed_point_map(self, kspace: Tensor, A: LinearOperator) -> MonotoneMap:
        """f for these measurements."""
        return MonotoneMap(A.H(kspace), A, self.denoiser, self.step, self.log_weight.exp())
