"""DE-Grad whose denoiser is shown the image turned by the phase of a first reconstruction.

A phase map that is estimated first and held fixed is the assumption of partial Fourier and of
phase-constrained reconstruction, there from the central lines (see D. C. Noll, D. G. Nishimura and
A. Macovski, IEEE TMI 10, 1991); here from total variation, which knows no phase and sees all lines.
"""

from typing import Any

import torch
from torch import Tensor

from deqlab.core.options import Positive, option, options
from deqlab.networks.turned import Turned, unit_phase
from deqlab.operators import LinearOperator
from deqlab.recon.deq.fixed_point_map import global_phase
from deqlab.recon.deq.measured_de_grad import MeasuredDEGrad, MeasuredDEGradOptions
from deqlab.recon.sparse.total_variation import TotalVariation


@options
class ReferencedDEGradOptions(MeasuredDEGradOptions):
    """The architecture of `ReferencedDEGrad`."""

    penalty: Positive = option(
        2e-3, "weight of total variation in the first reconstruction, relative to max |A^H y|"
    )


class ReferencedDEGrad(MeasuredDEGrad):
    """The equilibrium of DE-Grad with the denoiser x -> p R(conj(p) x), p the phase of the image
    that total variation finds. Weight and level are those of `MeasuredDEGrad`. Its arguments are
    `ReferencedDEGradOptions`.

    It is for denoisers that know the phase 0 alone, and as good as p is: nothing corrects p later.
    The first reconstruction counts among no evaluations.
    """

    Options = ReferencedDEGradOptions

    def reference_phase(self, kspace: Tensor, A: LinearOperator) -> Tensor:
        """p, complex (batch, y, x) of modulus 1; constant for gradients."""
        first = TotalVariation(weight=self.options.penalty)
        return unit_phase(first.solve(kspace.detach(), A).value)

    def _parts(self, kspace: Tensor, A: LinearOperator) -> tuple[Any, ...]:
        projection, A, denoiser, step, weight = super()._parts(kspace, A)
        with torch.no_grad():
            # The map turns by the global phase, which p holds already.
            phase = global_phase(projection).conj() * self.reference_phase(kspace, A)
        return projection, A, Turned(denoiser, phase), step, weight
