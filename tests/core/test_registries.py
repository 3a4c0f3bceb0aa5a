"""Registries: names and what they stand for; and of every entry of every registry of the package,
what cards, pages and messages rely on.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from deqlab.app.image_files.registry import IMAGE_FILES
from deqlab.core.errors import InputError
from deqlab.core.option_types import needs
from deqlab.core.options import hints, names_of, option, options, sentence
from deqlab.core.registry import Preset, Registry
from deqlab.data.varied.registry import MEASUREMENTS
from deqlab.equilibrium.registry import GRADIENTS
from deqlab.losses.registry import LOSSES
from deqlab.metrics.registry import METRICS
from deqlab.networks.registry import CHANNEL_NETWORKS, COIL_REFINERS, DENOISERS
from deqlab.recon import weights
from deqlab.recon.registry import METHODS
from deqlab.recon.steps.compensation import DENSITIES
from deqlab.recon.steps.data_consistency import CONSISTENCIES
from deqlab.signal.coils.registry import COIL_MAPS, WHITENING
from deqlab.signal.sampling.masks import MASKS
from deqlab.solvers.registry import SOLVERS
from deqlab.training.objectives.registry import OBJECTIVES

ALL: list[Registry[Any]] = [
    METHODS,
    DENOISERS,
    CHANNEL_NETWORKS,
    COIL_REFINERS,
    DENSITIES,
    LOSSES,
    METRICS,
    MASKS,
    COIL_MAPS,
    WHITENING,
    SOLVERS,
    GRADIENTS,
    OBJECTIVES,
    CONSISTENCIES,
    MEASUREMENTS,
    IMAGE_FILES,
]
# What has an option without a default, and a value for it as JSON has it.
GIVEN = {
    "random": {"acceleration": 4.0, "center_fraction": 0.08},
    "equispaced": {"acceleration": 4.0, "center_fraction": 0.08},
}
EVERY = [(registry, name) for registry in ALL for name in registry]
# Plug-and-play holds a trained denoiser, which JSON does not.
WRITTEN = [(registry, name) for registry, name in EVERY if name != "pnp"]
each = pytest.mark.parametrize("registry, name", EVERY, ids=[f"{r.what} {n}" for r, n in EVERY])


def some(registry: Registry[Any], name: str) -> Any:
    """The options or the object of an entry, with what has no default."""
    if name == "pnp":
        return registry.make(name, denoiser=DENOISERS.make("dncnn", depth=2, width=2))
    return registry.parse({"name": name, **GIVEN.get(name, {})})


@pytest.mark.parametrize("registry, name", WRITTEN, ids=[f"{r.what} {n}" for r, n in WRITTEN])
def test_an_entry_survives_json(registry: Registry[Any], name: str) -> None:
    chosen = some(registry, name)
    written = registry.to_json(chosen)
    assert written["name"] == registry.name_of(chosen) == name
    assert registry.parse(json.loads(json.dumps(written))) == chosen
    assert registry.parse(chosen) is chosen
    if name not in GIVEN:
        assert registry.parse(name) == registry.defaults(name) == chosen


@each
def test_what_is_built_is_of_its_class_and_knows_its_options(
    registry: Registry[Any], name: str
) -> None:
    chosen = some(registry, name)
    built = registry.build(chosen)
    assert isinstance(built, registry[name]) and registry.build(built) is built
    assert registry.name_of(built) == name
    if registry.options(name) is not registry[name]:
        assert built.options == chosen
        assert registry.to_json(built) == registry.to_json(chosen)


@each
def test_every_option_has_a_sentence_and_stands_on_its_page(
    registry: Registry[Any], name: str
) -> None:
    kind, shown = registry.options(name), registry.page(name)
    lines = shown.splitlines()
    for own, hint in hints(kind).items():
        said = sentence(kind, own)
        if hasattr(kind, "__pydantic_fields__"):
            assert len(said) > 3 and "\n" not in said
        at = lines.index(f"{own}: {said}" if said else own)
        assert needs(hint) in lines[at + 1]
    if not names_of(kind):
        assert shown == "it has no options"


@each
def test_an_option_that_it_has_not_is_told(registry: Registry[Any], name: str) -> None:
    for make in (
        lambda: registry.make(name, nonsense=1),
        lambda: registry.parse({"name": name, "nonsense": 1}),
    ):
        with pytest.raises(InputError, match="unknown option 'nonsense'.*; valid: ") as error:
            make()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("registry", ALL, ids=[registry.what for registry in ALL])
def test_a_name_that_there_is_not_is_told_the_nearest(registry: Registry[Any]) -> None:
    first = registry.names()[0]
    for ask in (
        registry.make,
        registry.parse,
        registry.checked,
        registry.options,
        registry.page,
        lambda name: registry.parse({"name": name}),
    ):
        with pytest.raises(InputError) as error:
            ask(f"{first}x")
        text = str(error.value)
        assert text.startswith(f"unknown {registry.what} '{first}x', did you mean ")
        assert text.endswith(f"valid: {', '.join(registry.names())}")
    for other in (3, None, object(), {"no": "name"}):
        with pytest.raises(InputError, match="given, one of .* needed"):
            registry.parse(other)
    with pytest.raises(InputError, match=f"object: is none of the registered {registry.what}s"):
        registry.name_of(object())
    assert first in registry and f"{first}x" not in registry
    assert len(registry) == len(list(registry)) == len(registry.names())


@options
class Disc:
    """Its own options."""

    radius: float = option(1.0, "of the disc")
    holes: int = option(0, "in it")


def test_a_preset_has_defaults_and_a_name_of_its_own() -> None:
    registry: Registry[Disc] = Registry("disc", {"disc": Disc, "ring": Preset(Disc, {"holes": 1})})
    assert registry.defaults("ring") == registry.parse("ring") == Disc(holes=1)
    assert (
        registry.make("ring", radius=2)
        == Disc(2.0, 1)
        == registry.parse({"name": "ring", "radius": 2})
    )
    assert registry.make("ring", holes=3) == Disc(holes=3)
    # By its options it is one or the other.
    assert registry.name_of(Disc(holes=1)) == "ring" and registry.name_of(Disc()) == "disc"
    assert registry.name_of(Disc(2.0, 1)) == "disc"
    assert registry.to_json(Disc(2.0, 1)) == {"name": "disc", "radius": 2.0, "holes": 1}


def test_the_cropped_maps_are_those_of_espirit_with_zeros_in_air() -> None:
    plain, cropped = COIL_MAPS.make("espirit"), COIL_MAPS.make("espirit-cropped")
    assert type(plain) is type(cropped) and cropped.outside == "zero" != plain.outside
    assert COIL_MAPS.name_of(cropped) == "espirit-cropped" and COIL_MAPS.name_of(plain) == "espirit"


CARDS = {
    name: json.loads((weights.SHIPPED / f"{name}.json").read_text())
    for name in weights.shipped_names()
}


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if "schema" in card])
def test_shipped_cards_of_the_present_schema_give_their_options(name: str) -> None:
    raw, told = CARDS[name], METHODS.to_json(weights.load(name))
    assert (raw["schema"], raw["model"]) == (weights.SCHEMA, told["name"])
    wanted = dict(raw["options"])
    if "denoiser" in wanted:
        assert wanted.pop("denoiser").items() <= told.pop("denoiser").items()
    assert wanted.items() <= told.items()


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if "schema" not in card])
def test_shipped_cards_of_the_first_schema_give_their_options(name: str) -> None:
    raw = CARDS[name]
    card, model = weights.read_card(weights.SHIPPED / f"{name}.json"), weights.load(name)
    network = card["options"]["denoiser"]
    assert network.pop("name") == "dncnn"
    told = {**network, **{key: v for key, v in card["options"].items() if key != "denoiser"}}
    assert raw["options"].items() <= told.items()
    assert set(told) - set(raw["options"]) <= {"residual"}
    for key, value in raw["options"].items():
        where = model.options.denoiser if key in network else model.options
        assert getattr(where, key) == value
    assert model.options.denoiser.residual
