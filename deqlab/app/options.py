"""Options of methods without weights as words of the shell: `--option weight=0.003`, or
`wavelet.weight=0.003` among several methods.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from types import UnionType
from typing import Any, get_args, get_origin

from torch import nn

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest
from deqlab.recon.registry import BUILDERS, create, learned, names
from deqlab.recon.weights import load_pretrained


def reconstructor(name: str, options: dict[str, str] | None = None) -> nn.Module:
    """The reconstructor `name` as `load_pretrained` gives it, a method without weights with
    `options` (name to word).

    InputError for options of trained weights, which are what they were trained as, and for an
    option or value that does not fit.
    """
    if not options:
        return load_pretrained(name)
    if name not in names() or learned(name):
        plain = ", ".join(other for other in names() if not learned(other))
        raise InputError(
            f"--option {next(iter(options))}: {name} has trained weights, which fix its options; it"
            f" is for {plain}"
        )
    parameters = inspect.signature(BUILDERS[name]).parameters
    return create(
        name, **{key: _value(name, key, word, parameters) for key, word in options.items()}
    )


def read_options(words: Sequence[str], models: Sequence[str]) -> dict[str, dict[str, str]]:
    """Options by model, from words NAME=VALUE where there is one model, and MODEL.NAME=VALUE in any
    case.
    """
    found: dict[str, dict[str, str]] = {model: {} for model in models}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InputError(f"--option {word}: NAME=VALUE needed, such as weight=0.003")
        model, dot, option = key.partition(".")
        if not dot:
            if len(models) > 1:
                raise InputError(
                    f"--option {word}: of which of {', '.join(models)}? {models[0]}.{word} would be"
                    " an answer"
                )
            model, option = models[0], key
        if model not in found:
            raise InputError(
                f"--option {word}: {model} is not among the models{nearest(model, models)}; these"
                f" are {', '.join(models)}"
            )
        found[model][option] = value
    return found


def _value(name: str, key: str, word: str, parameters: dict[str, inspect.Parameter]) -> Any:
    """`word` as the builder's annotation wants it; as it is for an option that there is not, which
    `create` refuses.
    """
    if key not in parameters:
        return word
    wanted = parameters[key].annotation
    kinds = get_args(wanted) if isinstance(wanted, UnionType) else (wanted,)
    kinds = tuple(get_origin(kind) or kind for kind in kinds)
    if not set(kinds) <= {int, float, bool, str, tuple, type(None)}:
        raise InputError(
            f"--option {key}: of {name} is an object and cannot be written in the shell"
        )
    try:
        value = ast.literal_eval(word)
    except (ValueError, SyntaxError):
        value = word
    if str in kinds and not isinstance(value, kinds):
        value = word
    if float in kinds and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
        shown = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise InputError(f"--option {key}: {word!r} given, {name} needs {shown} there")
    return value
