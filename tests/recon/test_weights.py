"""Weights as files: what was saved comes back, and what does not fit is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as tensor_bytes
from torch import nn

from deqlab.core.errors import InputError
from deqlab.core.options import names_of
from deqlab.networks import DnCNN
from deqlab.recon import create, load
from deqlab.recon.weights import SCHEMA, page_of, ready, save

CARD = {"command": "deqlab train", "seed": 3}
NETWORK = {"name": "dncnn", "depth": 2, "width": 3}


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    model = create("de-grad", denoiser=NETWORK, step=0.5)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model


@pytest.fixture
def card(tmp_path: Path, model: nn.Module) -> Path:
    """The path of a card with its weights beside it."""
    save(model, tmp_path / "small.safetensors", CARD)
    return tmp_path / "small.json"


def edit(card: Path, **fields) -> None:
    card.write_text(json.dumps(json.loads(card.read_text()) | fields))


def replace_weights(card: Path, content: bytes) -> None:
    """Other content with a right hash."""
    card.with_suffix(".safetensors").write_bytes(content)
    edit(card, sha256=hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_what_was_saved_comes_back(card: Path, model: nn.Module, suffix: str) -> None:
    loaded = load(card.with_suffix(suffix))
    assert type(loaded) is type(model) and not loaded.training
    for (name, tensor), (other, saved) in zip(
        loaded.state_dict().items(), model.state_dict().items(), strict=True
    ):
        assert name == other and torch.equal(tensor, saved)
    assert not any(p.requires_grad for p in loaded.parameters())
    written = json.loads(card.read_text())
    network = written["options"].pop("denoiser")
    assert network.items() >= NETWORK.items() and set(network) == {"name", *names_of(DnCNN.Options)}
    assert written == CARD | {
        "schema": SCHEMA,
        "model": "de-grad",
        "options": {"step": 0.5, "refine": None, "weight": model.options.weight},
        "sha256": hashlib.sha256(card.with_suffix(".safetensors").read_bytes()).hexdigest(),
    }
    assert loaded.options == model.options
    assert sorted(path.name for path in card.parent.iterdir()) == [
        "small.json",
        "small.safetensors",
    ]


def damage(card: Path) -> None:
    content = bytearray(card.with_suffix(".safetensors").read_bytes())
    content[-1] ^= 1
    card.with_suffix(".safetensors").write_bytes(content)


def without(card: Path, field: str) -> None:
    kept = json.loads(card.read_text())
    del kept[field]
    card.write_text(json.dumps(kept))


def change_tensors(card: Path, change) -> None:
    tensors = load_file(card.with_suffix(".safetensors"))
    change(tensors)
    replace_weights(card, tensor_bytes(tensors))


# What may be wrong with a card or its weights, and the words that must name it.
DEFECTS = {
    "damaged": (damage, ["small.safetensors", "sha256", "small.json"]),
    "no weights": (
        lambda card: card.with_suffix(".safetensors").unlink(),
        ["small.safetensors", "missing"],
    ),
    "no card": (lambda card: card.unlink(), ["small.json", "missing"]),
    "text": (lambda card: card.write_text("not json"), ["small.json", "not a JSON"]),
    "bytes": (lambda card: card.write_bytes(b"\xff\xfe\x00"), ["small.json", "not a JSON"]),
    "list": (lambda card: card.write_text("[]"), ["small.json", "'model'"]),
    "no options": (lambda card: without(card, "options"), ["small.json", "'options'"]),
    "other schema": (lambda card: edit(card, schema=3), ["small.json", "schema 3", "1 and 2"]),
    "no hash": (lambda card: without(card, "sha256"), ["small.json", "'sha256'"]),
    "not safetensors": (
        lambda card: replace_weights(card, b"no tensors here"),
        ["small.safetensors", "not a safetensors"],
    ),
    "other width": (
        lambda card: edit(card, options={"denoiser": NETWORK | {"width": 4}}),
        ["small.safetensors", "denoiser.layers.0.weight", "(3, 2, 3, 3)", "(4, 2, 3, 3)"],
    ),
    "other model": (
        lambda card: edit(card, model="de-prox", options={"denoiser": NETWORK}),
        ["small.safetensors", "log_weight"],
    ),
    "unknown model": (lambda card: edit(card, model="de-gard"), ["'de-gard'", "mean de-grad?"]),
    "unknown option": (
        lambda card: edit(card, options={"denoiser": NETWORK | {"dept": 2}}),
        ["'dept'", "mean depth?"],
    ),
    "tensor missing": (
        lambda card: change_tensors(card, lambda t: t.pop("log_step")),
        ["log_step", "None"],
    ),
    "tensor added": (
        lambda card: change_tensors(card, lambda t: t.update(extra=torch.zeros(1))),
        ["extra", "None"],
    ),
    "options no table": (lambda card: edit(card, options=["depth"]), ["small.json", "options"]),
    "depth a word": (
        lambda card: edit(card, options={"denoiser": NETWORK | {"depth": "two"}}),
        ["depth"],
    ),
}


@pytest.mark.parametrize("defect", list(DEFECTS))
def test_what_does_not_fit_is_named(card: Path, defect: str) -> None:
    spoil, words = DEFECTS[defect]
    spoil(card)
    with pytest.raises(InputError) as error:
        load(card)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError) as error:
        load("de-gard")
    assert "'de-gard'" in str(error.value) and "cg-sense" in str(error.value)


def test_saving_replaces_and_never_mixes(card: Path, model: nn.Module) -> None:
    with torch.no_grad():
        model.log_step.fill_(0.25)
    save(model, card, CARD)
    assert float(load(card).log_step) == 0.25


def test_de_grad_means_the_trained_one() -> None:
    asked, kept = load("de-grad"), load("de-grad-measured")
    assert asked.state_dict().keys() == kept.state_dict().keys()
    assert page_of("de-grad") == page_of("de-grad-measured")
    assert ready("de-grad", {"strength": "0.5"}).options.strength == 0.5


def test_a_method_without_shipped_weights_is_not_called_unknown() -> None:
    with pytest.raises(InputError, match=r"no weights are shipped of the model 'automap'.*\.json"):
        load("automap")
