"""Named sizes: one word for several options, wherever options are set, and nowhere in a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from deqlab.core.errors import InputError
from deqlab.core.option_types import needs
from deqlab.core.options import (
    Count,
    Options,
    hints,
    names_of,
    option,
    options,
    page,
    to_json,
    updated,
)
from deqlab.core.registry import Preset, Registry
from deqlab.core.sizes import Sizes, sizes_of
from deqlab.networks.registry import DENOISERS
from deqlab.recon.registry import METHODS
from deqlab.recon.weights import load, save


@options
class Net(Options):
    """A network with two named sizes."""

    width: Count = option(4, "channels")
    depth: Count = option(2, "layers")
    kernel: Count = option(3, "pixels")

    sizes: ClassVar[Sizes] = {
        "small": {"width": 4, "depth": 2},
        "published": {"width": 64, "depth": 17},
    }


@options
class Bare(Options):
    """A network without any."""

    width: Count = option(4, "channels")


NETS: Registry[Any] = Registry("net", {"net": Net, "bare": Bare, "wide": Preset(Net, {"width": 9})})


@options
class Outer(Options):
    """A method that holds a network."""

    net: Annotated[Any, NETS] = option(Net(), "the network")
    steps: Count = option(3, "how many")


def test_a_size_is_what_it_stands_for() -> None:
    assert updated(Net(), {"size": "published"}) == Net(64, 17)
    assert updated(Net(8, 8, 5), {"size": "small"}) == Net(4, 2, 5)
    assert sizes_of(Bare) == {} and names_of(Net) == ["width", "depth", "kernel"]


def test_what_is_said_beside_it_counts_more_in_whatever_order() -> None:
    words = [("size", "published"), ("depth", "3")]
    assert updated(Net(), dict(words)) == updated(Net(), dict(reversed(words))) == Net(64, 3)


def test_it_may_stand_inside_other_options() -> None:
    assert updated(Outer(), {"net.size": "published", "steps": "5"}) == Outer(Net(64, 17), 5)
    assert updated(Outer(Bare()), {"net.size": "published", "net": "net"}).net == Net(64, 17)


def test_code_and_json_may_say_it_too() -> None:
    assert NETS.make("net", size="published", depth=3) == Net(64, 3)
    assert NETS.make("wide", size="small") == Net(4, 2) and NETS.make("wide") == Net(9)
    assert Outer({"name": "net", "size": "published"}).net == Net(64, 17)


def test_a_card_holds_what_it_stands_for() -> None:
    card = to_json(updated(Outer(), {"net.size": "published"}))
    assert card["net"] == {"name": "net", "width": 64, "depth": 17, "kernel": 3}
    assert Outer(**card).net == Net(64, 17)


@pytest.mark.parametrize(
    "words, message",
    [
        (
            {"size": "publishd"},
            "size: unknown size 'publishd', did you mean published?; valid: small, published",
        ),
        ({"size": "3"}, "size: unknown size '3'; valid: small, published"),
        ({"size": ["small"]}, "size: unknown size ['small']"),
        ({"sise": "small"}, "unknown option 'sise', did you mean size?"),
        ({"size.width": "3"}, "unknown option 'size'"),
    ],
)
def test_a_size_that_there_is_not_is_told(words: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        updated(Net(), words)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def test_where_there_are_none_it_is_no_option() -> None:
    for wrong in (lambda: updated(Bare(), {"size": "small"}), lambda: NETS.make("bare", size="s")):
        with pytest.raises(InputError, match="unknown option 'size'"):
            wrong()
    with pytest.raises(InputError, match=r"^net\.size: unknown size 'smal', did you mean small\?"):
        updated(Outer(), {"net.size": "smal"})
    with pytest.raises(InputError, match="unknown option 'wdth', did you mean width"):
        NETS.make("net", wdth=3)


def test_the_page_lists_them() -> None:
    lines = page(Net).splitlines()
    assert lines[-3:] == [
        "size: several options at once",
        "    small: width=4, depth=2",
        "    published: width=64, depth=17",
    ]
    assert "    net.size: several options at once" in page(Outer).splitlines()
    assert "size" not in page(Bare) and "size" not in page(Net, names=["width"])


def test_trained_weights_fix_their_size(tmp_path: Path) -> None:
    save(METHODS.make("pdnet", iterations=1, width=2), tmp_path / "own", {})
    with pytest.raises(InputError, match=r"^size: .*own\.json is trained weights, which fix"):
        load(tmp_path / "own.json", {"size": "published"})
    with pytest.raises(InputError, match=r"^denoiser\.size: .*trained weights, which fix"):
        load("small-de-prox", {"denoiser.size": "published"})


EVERY = [(registry, name) for registry in (DENOISERS, METHODS) for name in registry]
SIZED = [(r, n, size) for r, n in EVERY for size in sizes_of(r.options(n))]


@pytest.mark.parametrize("registry, name, size", SIZED, ids=[f"{n} {s}" for _, n, s in SIZED])
def test_every_size_of_every_entry_is_one(registry: Registry[Any], name: str, size: str) -> None:
    kind, values = registry.options(name), sizes_of(registry.options(name))[size]
    assert values.keys() <= set(names_of(kind)) and "size" not in names_of(kind)
    chosen = updated(registry.defaults(name), {"size": size})
    assert {key: getattr(chosen, key) for key in values} == values
    assert all(needs(hints(kind)[key]) for key in values)


@pytest.mark.parametrize("name", ["unet", "dncnn", "mwcnn", "learnlets"])
def test_the_published_sizes_are_offered(name: str) -> None:
    assert set(sizes_of(DENOISERS.options(name))) == {"small", "published"}
    assert set(sizes_of(METHODS.options("pdnet"))) == {"small", "published"}
    model = METHODS.defaults("de-grad")
    chosen = updated(model, {"denoiser": name, "denoiser.size": "published"}).denoiser
    assert chosen == updated(DENOISERS.defaults(name), {"size": "published"})
