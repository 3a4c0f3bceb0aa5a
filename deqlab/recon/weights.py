"""Weights as files: a safetensors file beside a JSON that says what they are and where they came
from.
"""

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.recon.registry import create, learned, names

WEIGHTS = Path(__file__).parent / "shipped"


def load_pretrained(name: str | Path) -> nn.Module:
    """The trained reconstructor `name` in evaluation mode: a shipped one, or the path of a .json
    that `save_weights` wrote.

    Names without weights (zero-filled, wavelet and so on) give the plain method with its default
    options. The weight file's hash and every tensor's name and shape are checked; an InputError
    says what does not fit.
    """
    if str(name) in names() and not learned(str(name)):
        return create(str(name))
    card_at = card_path(name)
    card = read_card(card_at)
    weights_path = card_at.with_suffix(".safetensors")
    try:
        content = weights_path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{weights_path}: missing; the weights belong beside {card_at.name}"
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise InputError(
            f"{weights_path}: sha256 {digest[:12]}... differs from {card['sha256'][:12]}... in"
            f" {card_at.name}"
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise InputError(f"{weights_path}: not a safetensors file ({error})") from None
    try:
        model = create(card["model"], **card["options"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{card_at}: options {card['options']} make no {card['model']}:"
            f" {str(error).splitlines()[0]}"
        ) from None
    _check_tensors(model, tensors, weights_path)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def save_weights(model: nn.Module, path: Path, card: dict) -> None:
    """Write `path` (.safetensors) and its .json card atomically; `card` needs "model" and "options"
    and gains the hash.
    """
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    )
    path = path.with_suffix(".safetensors")
    card = {**card, "sha256": hashlib.sha256(content).hexdigest()}
    _write(path, content)
    _write(path.with_suffix(".json"), (json.dumps(card, indent=1) + "\n").encode())


def read_card(path: Path) -> dict:
    """The provenance JSON of trained weights."""
    try:
        card = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
    for field in ("model", "options", "sha256"):
        if not isinstance(card, dict) or field not in card:
            raise InputError(
                f"{path}: no field {field!r}; a card of trained weights has model, options and"
                " sha256"
            )
    return card


def pretrained_names() -> list[str]:
    """Names of the weights that are shipped."""
    return sorted(path.stem for path in WEIGHTS.glob("*.json"))


def card_path(name: str | Path) -> Path:
    """The card of a shipped name, or of weights given by their path."""
    path = Path(name)
    if path.suffix in (".json", ".safetensors"):
        return path.with_suffix(".json")
    shipped = WEIGHTS / f"{name}.json"
    if not shipped.exists():
        plain = [other for other in names() if not learned(other)]
        raise InputError(
            f"unknown model {str(name)!r}; valid: {', '.join([*plain, *pretrained_names()])}, or"
            " the path of a .json card"
        )
    return shipped


def _check_tensors(model: nn.Module, tensors: dict, path: Path) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{path}: tensor {name!r} has shape {found.get(name)}, the model needs"
                f" {expected.get(name)}"
            )


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
