"""What a denoiser promises to whoever puts it into a reconstruction."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Denoiser(Protocol):
    """R: complex images (batch, y, x) of any size to the same, each sample on its own.

    lipschitz: a bound of Lip(R - I) where `residual`, of Lip(R) where not; None for no promise.
    """

    lipschitz: float | None
    residual: bool

    def __call__(self, image: Tensor) -> Tensor:
        """R(x), complex (batch, y, x)."""

    def after_step(self) -> None:
        """Bring the weights back to what the denoiser promises: called after each training step,
        never inside a solve.
        """


def keep_promise(network: object) -> None:
    """After a training step: the weights of a `Denoiser` are what it promises; of any other network
    nothing is.
    """
    if isinstance(network, Denoiser):
        network.after_step()
