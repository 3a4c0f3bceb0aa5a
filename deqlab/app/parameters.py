"""The parameters of a notebook: what may be set from outside, of which type, and to which values.

A notebook declares them in its one cell tagged `parameters`, one annotated assignment a line:

    seed: int = 0                # of every random draw
    budget: str = "quick"        # quick | full
    acceleration: int = 4        # 4 | 8: how many times fewer k-space lines
    loss: str = "l1"             # any of: losses

A comment that begins with `a | b | c` lists the only values that are allowed; one that begins with
`any of: losses` allows the names in that registry, whichever they are by then.
"""

from __future__ import annotations

import ast
import importlib
import io
import json
import math
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from deqlab.core.errors import InputError
from deqlab.core.spelling import nearest

_WORDS = r"[\w.+\-\"']+"
_CHOICES = re.compile(rf"^\s*({_WORDS}(?:\s+\|\s+{_WORDS})+)\s*(?:$|[:;,.(].*)")
_REGISTERED = re.compile(r"^\s*any of:\s*([\w\- ]+?)\s*(?:$|[:;,.(].*)")
# What stands behind `any of: `: module and name of what holds the names, or of a function that
# returns them. Imported only when a notebook asks, for most bring torch with them.
REGISTRIES = {
    "models": ("deqlab.recon.registry", "METHODS"),
    "trainable models": ("deqlab.recon.registry", "trainable"),
    "denoisers": ("deqlab.networks.registry", "DENOISERS"),
    "losses": ("deqlab.losses.registry", "LOSSES"),
    "metrics": ("deqlab.metrics.registry", "METRICS"),
    "masks": ("deqlab.signal.sampling.masks", "MASKS"),
    "coil maps": ("deqlab.signal.coils.registry", "COIL_MAPS"),
    "solvers": ("deqlab.solvers.registry", "SOLVERS"),
    "gradients": ("deqlab.equilibrium.registry", "GRADIENTS"),
}
_TRUTH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell."""

    name: str
    type: str
    default: object
    choices: tuple = ()
    help: str = ""

    def parse(self, text: str) -> object:
        """The value that `text` means for this parameter; ValueError, with the reason, when it
        means none.
        """
        value = _parse(text, self.type)
        if self.choices and value not in self.choices:
            allowed = " | ".join(map(str, self.choices))
            raise ValueError(
                f"it must be one of {allowed}{nearest(text, [str(c) for c in self.choices])}"
            )
        return value


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The parameters that a notebook declares, by name; empty when it has no cell tagged
    `parameters`.

    Raises InputError for a file that is no notebook and for a parameters cell that contradicts
    itself.
    """
    try:
        cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
        tagged = [
            cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())
        ]
        source = "".join(tagged[0]["source"]) if tagged else ""
    except OSError as error:
        raise InputError(f"{notebook}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{notebook}: not a Jupyter notebook (JSON with a list `cells`)"
        ) from error
    try:
        return _read_cell(source)
    except (SyntaxError, ValueError) as error:
        raise InputError(
            f"{notebook}: cell tagged `parameters`: {' '.join(str(error).split())}"
        ) from error


def _read_cell(source: str) -> dict[str, Parameter]:
    comments = {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value) if (
                value is not None
            ):
                declared = str(kind.value) if isinstance(kind, ast.Constant) else ast.unparse(kind)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                declared = ""
            case _:
                continue
        default, line = ast.literal_eval(value), statement.end_lineno or statement.lineno
        declared = declared or type(default).__name__
        comment = comments.get(line, "")
        choices = _choices(comment, declared)
        if choices and default not in choices:
            allowed = " | ".join(map(str, choices))
            raise ValueError(f"{name} = {default!r} is not among its own choices {allowed}")
        found[name] = Parameter(name, declared, default, choices, _help(comment, choices))
    return found


def _help(comment: str, choices: tuple) -> str:
    """The comment with the names of a registry in place of the registry's own."""
    listed = _REGISTERED.match(comment)
    return " | ".join(map(str, choices)) + comment[listed.end(1) :] if listed else comment


def _registered(kind: str) -> tuple[str, ...]:
    """The names in the registry that a comment calls `kind`."""
    if kind not in REGISTRIES:
        hint = nearest(kind, REGISTRIES)
        raise ValueError(f"any of: {kind}{hint}; valid: {', '.join(REGISTRIES)}")
    module, attribute = REGISTRIES[kind]
    names = getattr(importlib.import_module(module), attribute)
    return tuple(names() if callable(names) else names)


def _choices(comment: str, declared: str) -> tuple:
    registered = _REGISTERED.match(comment)
    if registered:
        return _registered(registered[1])
    listed = _CHOICES.match(comment)
    if not listed:
        return ()
    return tuple(_parse(word.strip("\"'"), declared) for word in re.split(r"\s+\|\s+", listed[1]))


def _parse(text: str, declared: str) -> object:
    """The value of `text` as the annotated type; ValueError says what would be right."""
    kinds = [kind.strip() for kind in declared.removeprefix("Optional[").split("|")]
    if declared.startswith("Optional["):
        kinds = [declared[len("Optional[") : -1].strip(), "None"]
    if "None" in kinds and text.lower() in ("none", "null"):
        return None
    for kind in kinds:
        if kind == "None":
            continue
        try:
            return _parse_kind(text, kind)
        except ValueError:
            if kind == kinds[-1] or kinds[-1] == "None":
                raise
    raise ValueError(f"it must be {declared}")


def _parse_kind(text: str, kind: str) -> object:
    match kind:
        case "str":
            return text
        case "bool":
            if text.lower() not in _TRUTH:
                raise ValueError("it must be true or false")
            return _TRUTH[text.lower()]
        case "int":
            try:
                return int(text)
            except ValueError:
                raise ValueError("it must be a whole number") from None
        case "float":
            try:
                value = float(text)
            except ValueError:
                raise ValueError("it must be a number") from None
            if not math.isfinite(value):
                raise ValueError("it must be a finite number")
            return value
    container = {"list": list, "tuple": tuple, "dict": dict}.get(kind.split("[")[0].strip())
    if container is None:
        raise ValueError(f"a parameter of type {kind} cannot be set from the shell")
    try:
        written = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        written = None
    if not isinstance(written, container):
        raise ValueError(f"it must be a {kind}, written as in Python")
    return written
