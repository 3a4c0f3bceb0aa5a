"""From a name to a reconstructor: the one list of methods that notebooks, evaluation and the shell
share.
"""

import difflib
import inspect
from collections.abc import Callable

from torch import nn

from deqlab.core.errors import InputError
from deqlab.networks import DnCNN
from deqlab.recon.classical.cg_sense import CGSense
from deqlab.recon.classical.grappa import GRAPPA
from deqlab.recon.classical.sense import SENSE
from deqlab.recon.classical.zero_filled import ZeroFilled
from deqlab.recon.deq.de_admm import DEADMM
from deqlab.recon.deq.de_grad import DEGrad
from deqlab.recon.deq.de_prox import DEProx
from deqlab.recon.deq.mol import MOL
from deqlab.recon.deq.plug_and_play import PlugAndPlay
from deqlab.recon.sparse.cycle_spinning import CycleSpinning
from deqlab.recon.sparse.total_variation import TotalVariation
from deqlab.recon.sparse.wavelet import WaveletFISTA
from deqlab.signal.transforms.wavelets import Wavelet


def _de_prox(
    depth: int = 17,
    width: int = 64,
    norm: str | None = None,
    lipschitz: float | None = None,
    unshuffle: int = 1,
    bias: bool = False,
    step: float = 1.0,
) -> DEProx:
    return DEProx(DnCNN(depth, width, norm, lipschitz, unshuffle, bias), step=step)


def _de_grad(
    depth: int = 17,
    width: int = 64,
    norm: str | None = None,
    lipschitz: float | None = None,
    unshuffle: int = 1,
    bias: bool = False,
    residual: bool = True,
    step: float = 1.0,
    weight: float = 1.0,
) -> DEGrad:
    return DEGrad(
        DnCNN(depth, width, norm, lipschitz, unshuffle, bias, residual), weight=weight, step=step
    )


def _de_admm(
    depth: int = 17,
    width: int = 64,
    norm: str | None = None,
    lipschitz: float | None = None,
    unshuffle: int = 1,
    bias: bool = False,
    residual: bool = True,
    step: float = 1.0,
) -> DEADMM:
    return DEADMM(DnCNN(depth, width, norm, lipschitz, unshuffle, bias, residual), step=step)


def _mol(
    depth: int = 17,
    width: int = 64,
    lipschitz: float = 0.9,
    unshuffle: int = 1,
    bias: bool = False,
    step: float = 1.0,
    weight: float = 1.0,
) -> MOL:
    return MOL(
        DnCNN(depth, width, None, lipschitz, unshuffle, bias, residual=False),
        step=step,
        weight=weight,
    )


def _wavelet(
    weight: float = 2e-3,
    wavelet: str = "db4",
    levels: int | None = None,
    shifts: int = 2,
    tolerance: float = 5e-5,
    max_iterations: int = 300,
) -> WaveletFISTA:
    return WaveletFISTA(
        weight, Wavelet(wavelet, levels), CycleSpinning(shifts), tolerance, max_iterations
    )


def _tv(weight: float = 2e-3, tolerance: float = 2e-4, max_iterations: int = 400) -> TotalVariation:
    return TotalVariation(weight, tolerance, max_iterations)


def _pnp(
    denoiser: str = "de-prox",
    algorithm: str = "anderson",
    step: float = 1.0,
    strength: float = 1.0,
    tolerance: float = 1e-3,
    max_iterations: int = 100,
) -> PlugAndPlay:
    from deqlab.recon.weights import load_pretrained  # it needs this file

    model = load_pretrained(denoiser)
    if not hasattr(model, "denoiser"):
        raise InputError(
            f"denoiser: {denoiser!r} given, which has none; trained weights such as 'de-prox'"
            " needed"
        )
    return PlugAndPlay(model.denoiser, algorithm, step, strength, tolerance, max_iterations)


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "zero-filled": ZeroFilled,
    "cg-sense": CGSense,
    "sense": SENSE,
    "grappa": GRAPPA,
    "wavelet": _wavelet,
    "tv": _tv,
    "pnp": _pnp,
    "de-prox": _de_prox,
    "de-grad": _de_grad,
    "de-admm": _de_admm,
    "mol": _mol,
}
LEARNED = ("de-prox", "de-grad", "de-admm", "mol")


def names() -> list[str]:
    """All names that `create` knows."""
    return list(BUILDERS)


def create(name: str, **options) -> nn.Module:
    """The reconstructor `name` with fresh weights; an unknown name or option is an InputError that
    names the nearest valid one.
    """
    builder = BUILDERS[checked_name(name)]
    valid = list(inspect.signature(builder).parameters)
    for option in options:
        if option not in valid:
            raise InputError(
                f"{name}: unknown option {option!r}{_nearest(option, valid)}; valid:"
                f" {', '.join(valid) or 'none'}"
            )
    return builder(**options)


def checked_name(name: str) -> str:
    """`name`, if it is one; else an InputError that names the nearest valid one."""
    if name not in BUILDERS:
        raise InputError(
            f"unknown model {name!r}{_nearest(name, names())}; valid: {', '.join(names())}"
        )
    return name


def learned(name: str) -> bool:
    """Whether `name` has weights to train."""
    return checked_name(name) in LEARNED


def _nearest(word: str, valid: list[str]) -> str:
    close = difflib.get_close_matches(word, valid, 1)
    return f", did you mean {close[0]!r}?" if close else ""
