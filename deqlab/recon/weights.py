"""Weights as files: a safetensors file beside a JSON card that says what they are and where they
came from.

A card holds "schema", "model", "options" (as `Registry.to_json` gives them), "sha256" and whatever
tells the provenance. Cards without a schema are the first one's: they hold the options of a DnCNN
beside those of the model, and are still read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import nn

from deqlab.core.atomic import atomic_path
from deqlab.core.errors import InputError
from deqlab.core.options import adjustables, names_of, page, settable, updated
from deqlab.core.spelling import nearest
from deqlab.networks.dncnn import DnCNNOptions
from deqlab.recon.base import Model, Reconstructor
from deqlab.recon.registry import METHODS, create, learned

SHIPPED = Path(__file__).parent / "shipped"
SCHEMA = 2

# A method whose weights are shipped in a form that has a name of its own.
SHIPPED_AS = {"de-grad": "de-grad-measured"}

FIXED = "trained weights, which fix its options"


def load(name: str | Path, words: Mapping[str, Any] | None = None) -> Model:
    """The trained reconstructor `name` in evaluation mode: a shipped one, or the path of a .json
    that `save` wrote.

    words: options to be set, as `updated` takes them; those that are `adjustable` may be, the
    others are what the weights were trained as. The weight file's hash and every tensor's name and
    shape are checked; an InputError says what does not fit.
    """
    card_at = card_path(name)
    card = read_card(card_at)
    weights_path = card_at.with_suffix(".safetensors")
    try:
        content = weights_path.read_bytes()
    except FileNotFoundError:
        message = f"{weights_path}: missing; the weights belong beside {card_at.name}"
        raise InputError(message) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != card["sha256"]:
        raise InputError(
            f"{weights_path}: sha256 {digest[:12]}... differs from {card['sha256'][:12]}... in"
            f" {card_at.name}"
        )
    try:
        tensors = read_tensors(content)
    except SafetensorError as error:
        raise InputError(f"{weights_path}: not a safetensors file ({error})") from None
    try:
        model: Any = METHODS.build(METHODS.parse({"name": card["model"], **card["options"]}))
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{card_at}: options {card['options']} make no {card['model']}:"
            f" {str(error).splitlines()[0]}"
        ) from None
    if words:
        model = METHODS.build(_adjusted(model.options, words, name))
    _check_tensors(model, tensors, weights_path)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def ready(name: str | Path, words: dict[str, str] | None = None) -> Reconstructor:
    """The reconstructor that the shell means by `name`, ready to be used: trained weights, or a
    method without weights, with options set from `words`, {"weight": "0.003"}.

    InputError for options that trained weights fix, see `load`.
    """
    words = words or {}
    if name not in METHODS or learned(str(name)):
        return load(name, words)
    kind = METHODS[str(name)]
    if "denoiser" not in names_of(kind):
        return updated(METHODS.defaults(str(name)), words)
    # Plug-and-play takes the denoiser of trained weights.
    words = dict(words)
    network = denoiser(words.pop("denoiser", "small-de-prox"))
    return updated(create(str(name), denoiser=network), words)


def page_of(name: str | Path) -> str:
    """What may be set of `name` where it is to be used, explained: every option of a method without
    weights, and of trained weights those that are `adjustable`.
    """
    if name in METHODS and not learned(str(name)):
        return METHODS.page(str(name))
    name = SHIPPED_AS.get(str(name), name)
    model = str(name) if name in METHODS else read_card(card_path(name))["model"]
    kind = METHODS.options(model)
    own = page(kind, names=adjustables(kind))
    return f"trained weights, which fix its other options\n{own}" if own else FIXED


def denoiser(name: str | Path) -> nn.Module:
    """The denoiser in trained weights; InputError where they have none."""
    if str(name) in METHODS and not learned(str(name)):
        raise InputError(
            f"denoiser: {str(name)!r} given, which has none; trained weights such as 'de-ridge'"
            " needed"
        )
    found = load(name).denoisers()
    if not found:
        raise InputError(f"denoiser: the weights {str(name)!r} have none")
    return found[0]


def save(model: Model, path: Path, card: dict[str, Any]) -> None:
    """Write `path` (.safetensors) and its .json card atomically. The card gains the schema, the
    model's name and options, and the hash; `card` tells the provenance.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    content = tensor_bytes(tensors)
    path = path.with_suffix(".safetensors")
    described = METHODS.to_json(model)
    head = {"schema": SCHEMA, "model": described.pop("name"), "options": described}
    whole = {**head, **card, "sha256": hashlib.sha256(content).hexdigest()}
    _write(path, content)
    _write(path.with_suffix(".json"), (json.dumps(whole, indent=1) + "\n").encode())


def read_card(path: Path) -> dict[str, Any]:
    """The card of trained weights, its options as the present schema has them."""
    try:
        card = json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: missing") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None
    for field in ("model", "options", "sha256"):
        if not isinstance(card, dict) or field not in card:
            raise InputError(
                f"{path}: no field {field!r}; a card of trained weights has model, options and"
                " sha256"
            )
    kinds = (("model", str, "a name"), ("options", dict, "an object"), ("sha256", str, "a text"))
    for field, kind, needed in kinds:
        if not isinstance(card[field], kind):
            raise InputError(f"{path}: {field} is {str(card[field])[:60]}; {needed} needed")
    schema = card.get("schema", 1)
    if schema not in (1, SCHEMA):
        raise InputError(f"{path}: schema {schema!r} given; this version reads 1 and {SCHEMA}")
    if schema == 1:
        inside = names_of(DnCNNOptions)
        network = {key: value for key, value in card["options"].items() if key in inside}
        own = {key: value for key, value in card["options"].items() if key not in inside}
        card["options"] = {"denoiser": {"name": "dncnn", **network}, **own}
        if card["model"] in ("de-prox", "mol"):
            # The first schema built these two with a residual of their own.
            card["options"]["denoiser"]["residual"] = card["model"] == "de-prox"
    return card


def shipped_names() -> list[str]:
    """Names of the weights that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


def card_path(name: str | Path) -> Path:
    """The card of a shipped name (or of a method that is `SHIPPED_AS` another), or of weights given
    by their path.
    """
    path = Path(name)
    if path.suffix in (".json", ".safetensors"):
        return path.with_suffix(".json")
    shipped = SHIPPED / f"{SHIPPED_AS.get(str(name), name)}.json"
    if not shipped.exists():
        plain = [other for other in METHODS if not learned(other)]
        untrained = name in METHODS and learned(str(name))
        what = "no weights are shipped of the" if untrained else "unknown"
        names = [*plain, *SHIPPED_AS, *shipped_names()]
        hint = "" if untrained else nearest(name, names)
        raise InputError(
            f"{what} model {str(name)!r}{hint}; valid: {', '.join(names)}, or the path of a .json"
            " card"
        )
    return shipped


def _adjusted(options: Any, words: Mapping[str, Any], name: str | Path) -> Any:
    """The options of trained weights with `words` set; InputError for one that the weights fix."""
    known, free = settable(type(options)), adjustables(type(options))
    for word in words:
        first = word.partition(".")[0]
        if first in known and first not in free:
            raise InputError(
                f"{word}: {name} is {FIXED}; what may be set: {', '.join(free) or 'nothing'}"
            )
    return updated(options, words)


def _check_tensors(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
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
