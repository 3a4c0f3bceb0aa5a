"""What a denoiser promises to whoever puts it into a reconstruction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


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


@runtime_checkable
class ToldDenoiser(Protocol):
    """A denoiser that can be told how strong the noise is."""

    def at(self, level: Tensor) -> Callable[[Tensor], Tensor]:
        """R for noise of that standard deviation of real and of imaginary part: real (batch, 1, 1),
        in the units of the image.
        """


@runtime_checkable
class BoundDenoiser(Protocol):
    """A dataclass around a denoiser that knows something of each sample of one batch."""

    @property
    def denoiser(self) -> Callable[[Tensor], Tensor]:
        """What is bound."""

    def select(self, index: Tensor) -> Callable[[Tensor], Tensor]:
        """That of the batch members in `index`, whole numbers or bool."""


@runtime_checkable
class ExtendingDenoiser(Protocol):
    """A denoiser that extends another and may start from its weights."""

    def completed(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state of this denoiser from that of the other, or from its own kind's."""


@runtime_checkable
class ChannelNetwork(Protocol):
    """Options of a network between real channels, which learn from their user how many."""

    def build(self, inside: int, outside: int) -> nn.Module:
        """Real (batch, inside, y, x) of any size to (batch, outside, y, x)."""


def at_level(network: Callable[[Tensor], Tensor], level: Tensor) -> Callable[[Tensor], Tensor]:
    """The network, told of the noise if it is one that can be; see `ToldDenoiser`."""
    return network.at(level) if isinstance(network, ToldDenoiser) else network


def of_members(network: Callable[[Tensor], Tensor], index: Tensor) -> Callable[[Tensor], Tensor]:
    """The network for the batch members in `index`: another one only where it is bound to a batch,
    as one that was told of the noise of each sample is.
    """
    return network.select(index) if isinstance(network, BoundDenoiser) else network


def with_network(bound: Any, network: Any) -> Any:
    """The network in the place of the one that is bound to a batch, bound in the same ways."""
    if not isinstance(bound, BoundDenoiser):
        return network
    inside: Any = bound  # a dataclass, which no protocol can say
    return replace(inside, denoiser=with_network(inside.denoiser, network))


def keep_promise(network: object) -> None:
    """After a training step: the weights of a `Denoiser` are what it promises; of any other network
    nothing is.
    """
    if isinstance(network, Denoiser):
        network.after_step()
