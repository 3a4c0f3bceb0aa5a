"""Deep equilibrium models for accelerated MRI: the names that one needs first, and the rooms.

`import deqlab` imports nothing: a name or a room is fetched when it is first asked for (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the same once more, for type checkers and editors; a test holds them together
    from deqlab import app as app
    from deqlab import core as core
    from deqlab import data as data
    from deqlab import equilibrium as equilibrium
    from deqlab import evaluation as evaluation
    from deqlab import losses as losses
    from deqlab import metrics as metrics
    from deqlab import networks as networks
    from deqlab import operators as operators
    from deqlab import recon as recon
    from deqlab import show as show
    from deqlab import signal as signal
    from deqlab import solvers as solvers
    from deqlab import theory as theory
    from deqlab import training as training
    from deqlab.core.errors import InputError as InputError
    from deqlab.equilibrium.layer import EquilibriumLayer as EquilibriumLayer
    from deqlab.operators.cartesian import CartesianOperator as CartesianOperator
    from deqlab.operators.nufft import NUFFTOperator as NUFFTOperator
    from deqlab.recon.registry import create as create
    from deqlab.recon.weights import load as load
    from deqlab.solvers.anderson import Anderson as Anderson
    from deqlab.solvers.loop import solve as solve

    __version__: str

_ROOMS = (
    "core",
    "signal",
    "solvers",
    "operators",
    "equilibrium",
    "networks",
    "losses",
    "metrics",
    "recon",
    "data",
    "training",
    "evaluation",
    "theory",
    "show",
    "app",
)
# A name, and where it lives.
_NAMES = {
    "Anderson": "solvers.anderson:Anderson",
    "CartesianOperator": "operators.cartesian:CartesianOperator",
    "EquilibriumLayer": "equilibrium.layer:EquilibriumLayer",
    "InputError": "core.errors:InputError",
    "NUFFTOperator": "operators.nufft:NUFFTOperator",
    "create": "recon.registry:create",
    "load": "recon.weights:load",
    "solve": "solvers.loop:solve",
}
__all__ = ["__version__", *_NAMES, *_ROOMS]


if not TYPE_CHECKING:  # a type checker would take it for a promise of any name

    def __getattr__(name: str) -> object:
        """Looked up once: what is found becomes an ordinary name of the module."""
        if name in _ROOMS:
            value = import_module(f"deqlab.{name}")
        elif name in _NAMES:
            module, attribute = _NAMES[name].split(":")
            value = getattr(import_module(f"deqlab.{module}"), attribute)
        elif name == "__version__":
            value = import_module("importlib.metadata").version("deqlab")
        else:
            raise AttributeError(f"module 'deqlab' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
